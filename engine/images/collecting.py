"""What of a store nobody needs, and what each image takes of it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from engine.images.blobs import BlobStore
from engine.images.catalog import ImageRow, Kept
from engine.images.layers.pool import LayerPool
from engine.images.types import Digest


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """What a garbage collection removed. Bytes are of compressed blobs and of layers' files."""

    blobs: int
    layers: int
    size: int


@dataclass(frozen=True, slots=True)
class Garbage:
    """Blobs, and layers by key, with their bytes, that no image needs and no container uses."""

    blobs: dict[Digest, int]
    layers: dict[str, int]

    @property
    def size(self) -> int:
        return sum(self.blobs.values()) + sum(self.layers.values())

    def discard(self, blobs: BlobStore, layers: LayerPool) -> Reclaimed:
        """Remove it. A layer that a container came to use meanwhile stays."""
        size = sum(blobs.discard(digest) for digest in self.blobs)
        freed = [layers.discard(key) for key in self.layers]
        gone = [each for each in freed if each is not None]
        return Reclaimed(len(self.blobs), len(gone), size + sum(gone))


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes of an image's blobs and ready layers: what only it needs, what others need too, and
    what removing it would free (not what a container stands on)."""

    unique: int
    shared: int
    reclaimable: int


def garbage(blobs: BlobStore, layers: LayerPool, needed: Kept) -> Garbage:
    return Garbage(
        {digest: blobs.size(digest) for digest in blobs.all() if str(digest) not in needed.blobs},
        {
            key: layers.size(key)
            for key in layers.all()
            if f"sha256:{key}" not in needed.layers and not layers.in_use(key)
        },
    )


def usage(
    images: Mapping[Digest, ImageRow], blobs: BlobStore, layers: LayerPool
) -> dict[Digest, Usage]:
    ready = set(layers.all())
    needs = {
        digest: {f"blob {blob}": blobs.size(blob) for blob in row.blobs if blobs.has(blob)}
        | {key.hex: layers.size(key.hex) for key in row.keys if key.hex in ready}
        for digest, row in images.items()
    }
    owners = Counter(item for items in needs.values() for item in items)
    found = {}
    for digest, items in needs.items():
        alone = {item: size for item, size in items.items() if owners[item] == 1}
        unique = sum(alone.values())
        kept = sum(size for item, size in alone.items() if item in ready and layers.in_use(item))
        found[digest] = Usage(unique, sum(items.values()) - unique, unique - kept)
    return found
