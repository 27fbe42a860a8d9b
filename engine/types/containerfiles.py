"""A container's files: what it changed, and the image that is made of that."""

from __future__ import annotations

from typing import Annotated

from engine.types.declare import F, Type, always


class FileChange(Type, kw_only=True):
    """A path that differs from the image."""

    kind: Annotated[str, F("added, changed or deleted.")] = always("")
    path: Annotated[str, F("As seen in the container.")] = always("")
    size: Annotated[int, F("Bytes of a file that is there.")] = always(int)


class FileChanges(Type, kw_only=True):
    """What a container changed, by path."""

    changes: Annotated[list[FileChange], F("At most as many as asked for.")] = always(list)
    size: Annotated[int, F("Bytes of the files among them.")] = always(int)


class CommitOptions(Type, kw_only=True):
    """What the image made of a container is to be."""

    reference: Annotated[str, F("Its name.")] = ""
    changes: Annotated[list[str], F("Instructions that make settings: CMD, ENV, ...")] = []
    author: Annotated[str, F("Who made it.")] = ""
    message: Annotated[str, F("What its history says.")] = ""
    pause: Annotated[bool, F("Whether the container stands still meanwhile.")] = True
    epoch: Annotated[int | None, F("Unix seconds that nothing in it is younger than.")] = None


class Committed(Type, kw_only=True):
    """The image that was made."""

    reference: Annotated[str, F("Its name.")] = always("")
    digest: Annotated[str, F("Digest of its manifest.")] = always("")
    layer: Annotated[str, F("Diff id of the new layer; empty when nothing changed.")] = always("")
    size: Annotated[int, F("Bytes of the new layer.")] = always(int)


class Placed(Type, kw_only=True):
    """What was copied into a container."""

    entries: Annotated[int, F("Files and directories.")] = always(int)
