"""A container's read-write layer, kept as a layer of a new image."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.images.blobs import HashedFile
from engine.images.containerfile.settings import changed
from engine.images.draft import Draft, plain_layer, timestamp
from engine.images.readwrite import write_layer
from engine.images.reference import Reference
from engine.images.staging import staging
from engine.images.store import ImageStore
from engine.images.tar import Parts
from engine.images.types import Descriptor, Image


@dataclass(frozen=True, slots=True)
class Wish:
    """What the image is to be. `changes` are instructions that make settings; `created` and
    `clamp`, which no file's time is after, are Unix seconds."""

    reference: str
    made_by: str
    created: int
    changes: Sequence[str] = ()
    author: str = ""
    message: str = ""
    clamp: int | None = None

    def check(self, draft: Draft) -> Draft:
        """The draft with the settings. Raise BadReference, ContainerfileError."""
        Reference.parse(self.reference)
        settings = changed(draft.settings, list(self.changes))
        others = {**draft.others, "author": self.author} if self.author else draft.others
        return replace(draft, settings=settings, others=others)


def take_layer(
    store: ImageStore,
    upper: Path,
    layers: Sequence[Path],
    *,
    stubs: Collection[Parts],
    clamp: int | None,
) -> Descriptor | None:
    """Store what `upper` changes of an image's ready layers; None when it changes nothing.

    Call it within store.busy(). Raise ImageError.
    """
    limit = None if clamp is None else clamp * 10**9
    with staging(store.root / "tmp") as folder:
        file = HashedFile(folder / "layer")
        try:
            entries = write_layer(upper, layers, file.write, stubs=stubs, clamp=limit)
        finally:
            digest = file.close()
        if not entries:
            return None
        store.blobs.adopt(folder / "layer", digest)
    return plain_layer(digest, file.size)


def name_image(store: ImageStore, draft: Draft, layer: Descriptor | None, wish: Wish) -> Image:
    """Store and name the image. Call it within store.busy()."""
    created = timestamp(wish.created)
    note = {"created": created, "created_by": wish.made_by}
    if wish.message:
        note["comment"] = wish.message
    if layer is None:
        draft = draft.configured(draft.settings, wish.made_by, created)
    else:
        draft = draft.layered(layer, layer.digest, wish.made_by, created)
    history = (*draft.history[:-1], {**draft.history[-1], **note})
    return replace(draft, history=history, created=created).store(store, [wish.reference])
