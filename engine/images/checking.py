"""Reading a store through again: is every byte still what its name says?"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.images import stream
from engine.images.blobs import BlobStore
from engine.images.catalog import ImageRow
from engine.images.errors import BadImage, ImageError
from engine.images.layers.pool import LayerPool
from engine.images.types import Digest


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a blob or a layer, and the names of the images that cannot be without."""

    what: str
    reason: str
    names: tuple[str, ...] = ()
    blob: Digest | None = None
    layer: str | None = None

    def __str__(self) -> str:
        way_out = f"; pull again: {', '.join(self.names)}" if self.names else ""
        return f"{self.what}: {self.reason}{way_out}"

    def repair(self, blobs: BlobStore, layers: LayerPool) -> None:
        """Remove it. A layer that a container stands on stays."""
        if self.blob is not None and blobs.has(self.blob):
            blobs.discard(self.blob)
        if self.layer is not None:
            layers.discard(self.layer)


def check(
    images: Mapping[Digest, ImageRow],
    names: Mapping[Digest, Sequence[str]],
    blobs: BlobStore,
    layers: LayerPool,
) -> list[Finding]:
    """Everything that is missing, damaged, or not the store's."""
    needs: dict[Digest, list[str]] = {}
    for digest, row in images.items():
        for blob in row.blobs:
            needs.setdefault(blob, []).extend(names.get(digest, ()))
    return [*_blobs(needs, blobs), *_layers(layers)]


def _blobs(needs: Mapping[Digest, Sequence[str]], blobs: BlobStore) -> Iterator[Finding]:
    there = set(blobs.all())
    for digest in sorted(needs.keys() | there, key=str):
        users = tuple(sorted(set(needs.get(digest, ()))))
        if digest not in there:
            yield Finding(f"blob {digest}", "is missing", users, digest)
            continue
        reason = _read(digest, blobs)
        if reason:
            yield Finding(f"blob {digest}", reason, users, digest)


def _read(digest: Digest, blobs: BlobStore) -> str:
    hasher = hashlib.sha256()
    try:
        descriptor = blobs.open(digest)
        try:
            for chunk in stream.read(descriptor):
                hasher.update(chunk)
        finally:
            os.close(descriptor)
    except (BadImage, OSError) as error:
        return f"cannot be read: {error}"
    found = hasher.hexdigest()
    return "" if found == digest.hex else f"its bytes have digest sha256:{found}"


def _layers(layers: LayerPool) -> Iterator[Finding]:
    for key in sorted(layers.all()):
        try:
            layers.verify(key)
        except (ImageError, OSError) as error:
            yield Finding(f"layer {key}", str(error), layer=key)
