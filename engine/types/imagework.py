"""Work on images as it goes: pulls, pushes and removals stream one ImageEvent per line of JSON."""

from __future__ import annotations

from typing import Annotated

from engine.types.declare import F, Type, always


class BlobWork(Type, kw_only=True):
    """How far one blob is."""

    digest: Annotated[str, F("The blob.")] = always("")
    kind: Annotated[str, F("config, layer or manifest.")] = ""
    size: Annotated[int, F("Bytes of it.")] = always(int)
    state: Annotated[str, F("waiting, active, done, or present: nothing travels.")] = always("")
    done: Annotated[int, F("Bytes that are there.")] = always(int)
    resumed: Annotated[int, F("Bytes of these from an earlier try.")] = 0
    rate: Annotated[float, F("Bytes a second.")] = 0.0
    remaining: Annotated[float | None, F("Seconds, when it can be told.")] = None


class ImageEvent(Type, kw_only=True):
    """`event` is resolved, blob, retrying, done or failed; nothing comes after the last two."""

    event: Annotated[str, F("What happened.")] = always("")
    reference: Annotated[str, F("The image.")] = ""
    digest: Annotated[str, F("Digest of its manifest.")] = ""
    blobs: Annotated[list[BlobWork], F("What is behind the name, when resolved.")] = []
    blob: Annotated[BlobWork | None, F("The blob that got further.")] = None
    message: Annotated[str, F("Why it is tried again, or failed.")] = ""
    seconds: Annotated[float, F("Until the next try, or of the whole work.")] = 0.0
    transferred: Annotated[int, F("Bytes that travelled.")] = 0
    removed_blobs: Annotated[int, F("Blobs removed.")] = 0
    removed_layers: Annotated[int, F("Unpacked layers removed.")] = 0
    freed: Annotated[int, F("Bytes freed.")] = 0
