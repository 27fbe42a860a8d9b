"""The podarium.io group, v1: images in the machine's store, seen through the API."""

from __future__ import annotations

from typing import Annotated

from engine.types.declare import F, Type, always
from engine.types.meta import Object


class ImageLayer(Type, kw_only=True):
    """A read-only layer; images that share a diffID share its files."""

    digest: Annotated[str, F("Digest of the stored blob.")] = ""
    diff_id: Annotated[str, F("Digest of the uncompressed archive.")] = ""
    size: Annotated[int, F("Bytes of the stored blob.")] = always(int)
    unpacked_size: Annotated[int, F("Bytes of its files.")] = always(int)
    media_type: Annotated[str, F("Format of the blob.")] = ""
    created_by: Annotated[str, F("The command that made it.")] = ""
    entries: Annotated[int, F("Files, folders and links in it.")] = always(int)
    shared_with: Annotated[list[str], F("References of other images with this layer.")] = always(
        list
    )


class ImageConfig(Type, kw_only=True):
    """What a container of the image runs unless its pod says otherwise."""

    env: Annotated[list[str], F("Variables as NAME=value.")] = []
    entrypoint: Annotated[list[str], F("Program and first arguments.")] = []
    cmd: Annotated[list[str], F("Further arguments.")] = []
    working_dir: Annotated[str, F("Working folder.")] = ""
    user: Annotated[str, F("User, or user:group.")] = ""
    exposed_ports: Annotated[list[str], F("Ports such as 80/tcp.")] = []
    stop_signal: Annotated[str, F("Signal that ends it.")] = ""
    labels: Annotated[dict[str, str], F("Labels.")] = {}


class Image(Object, kw_only=True):
    """An image of the machine's store; nodes keep these objects true, users only read them.

    `metadata.name` is the hex part of the digest.
    """

    api_version: Annotated[str, F("Group and version of the schema.")] = always("podarium.io/v1")
    kind: Annotated[str, F("Name of the schema.")] = always("Image")
    references: Annotated[list[str], F("Names of the image.")] = always(list)
    digest: Annotated[str, F("Digest of its manifest.")] = always("")
    size: Annotated[int, F("Bytes of its layers.")] = always(int)
    created: Annotated[str | None, F("When it was made.")] = None
    config: Annotated[ImageConfig, F("What its containers run.")] = always(ImageConfig)
    layers: Annotated[list[ImageLayer], F("Its layers, lowest first.")] = always(list)
