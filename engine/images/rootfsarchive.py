"""A plain archive of a root filesystem, become an image of one layer.

The archive is the layer, byte for byte, once it is not compressed; so the same archive gives the
same diff id. It is read to its end, and made ready, before the image has a name.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine.images import stream
from engine.images.blobs import HashedFile
from engine.images.draft import Draft, plain_layer
from engine.images.errors import BadLayer
from engine.images.reference import Reference
from engine.images.staging import staging
from engine.images.store import ImageStore
from engine.images.tar import Reader
from engine.images.types import Image


def import_rootfs(
    store: ImageStore,
    chunks: Iterable[bytes],
    reference: str,
    settings: Mapping[str, Any],
    *,
    made_by: str,
    created: str,
) -> Image:
    """Name an image whose only layer is the archive `chunks`, compressed or not.

    Raise BadReference, or BadLayer for what is no archive, damaged, or hostile; then nothing stays.
    """
    name = Reference.parse(reference)
    with store.busy():
        with staging(store.root / "tmp") as folder:
            file = HashedFile(folder / "layer")
            try:
                _check(file, chunks)
            finally:
                digest = file.close()
            known = store.blobs.has(digest)
            store.blobs.adopt(folder / "layer", digest)
        draft = Draft(settings=settings)
        draft = draft.layered(plain_layer(digest, file.size), digest, made_by, created)
        try:
            store.ready(draft.image())
        except BaseException:
            if not known:
                store.blobs.discard(digest)
            raise
        return draft.store(store, [str(name)])


def _check(file: HashedFile, chunks: Iterable[bytes]) -> None:
    def kept() -> Iterator[bytes]:
        for chunk in stream.inflated(chunks, "the archive"):
            file.write(chunk)
            yield chunk

    if not sum(1 for _ in Reader(kept())):
        raise BadLayer("the archive holds nothing")
