"""The machine's images, as the API asks for them: looked into in threads, told in typed answers.

Satisfies the API's ImageGateway without knowing it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from typing import Protocol, TypeVar

from engine.images.errors import ImageError, PathNotFound
from engine.images.explore.duplicates import duplicates
from engine.images.explore.explorer import Explorer, Opened
from engine.images.explore.node import meant
from engine.images.explore.waste import waste
from engine.images.store import ImageStore
from engine.kubelet import explored
from engine.kubelet.imagework import ImageWork, refused
from engine.types.explored import Difference, Layers, TreePage, WasteReport, Which
from engine.types.imagework import ImageEvent
from engine.types.pods import Pod
from engine.types.status import BadRequest, NotFound

LEAST = 4096
"""Smaller files are not compared by content."""

_T = TypeVar("_T")


class TreeWish(Protocol):
    """Which part of a tree is wanted (see explored.tree)."""

    @property
    def path(self) -> str: ...
    @property
    def layer(self) -> int | None: ...
    @property
    def since(self) -> int | None: ...
    @property
    def depth(self) -> int: ...
    @property
    def changed(self) -> bool: ...
    @property
    def by_size(self) -> bool: ...
    @property
    def offset(self) -> int: ...
    @property
    def limit(self) -> int: ...


class NodeImages:
    """`upper` finds where a container of a pod writes, and the image it runs; or raises
    StatusError."""

    def __init__(
        self, store: ImageStore, home: Path, upper: Callable[[Pod, str], tuple[Path, str]]
    ) -> None:
        self._store = store
        self._explorer = Explorer(store)
        self._work = ImageWork(store, home)
        self._upper = upper

    async def layers(self, reference: str) -> Layers:
        """Raise NotFound, BadRequest; so do all of them."""

        def look(image: Opened) -> Layers:
            return explored.layers(self._store, self._store.resolve(reference), image)

        return await self._looked(reference, look)

    async def tree(self, reference: str, options: TreeWish) -> TreePage:
        def look(image: Opened) -> TreePage | None:
            count = len(image.made_by)
            for name, number in (("layer", options.layer), ("since", options.since)):
                if number is not None and number > count:
                    raise BadRequest(f"{name}: Invalid value: {number}: there are {count} layers")
            return explored.tree(
                image,
                options.path,
                layer=options.layer,
                since=options.since,
                depth=options.depth,
                changed=options.changed,
                by_size=options.by_size,
                offset=options.offset,
                limit=options.limit,
            )

        page = await self._looked(reference, look)
        if page is None:
            raise NotFound("directories", options.path)
        return page

    async def waste(self, reference: str, *, same: bool, offset: int, limit: int) -> WasteReport:
        def look(image: Opened) -> WasteReport:
            with image.held() as held:
                equal = duplicates(held.stack, _digester(held), least=LEAST) if same else []
            return explored.waste(image, waste(image.stack), equal, offset=offset, limit=limit)

        return await self._looked(reference, look)

    async def which(self, reference: str, path: str) -> Which:
        return await self._looked(reference, lambda image: explored.which(image, path))

    async def diff(self, base: str, now: str, *, offset: int, limit: int) -> Difference:
        other = await self._looked(now, lambda image: image)
        return await self._looked(
            base,
            lambda image: explored.difference(image, other, offset=offset, limit=limit),
        )

    async def diff_container(
        self, base: str, pod: Pod, container: str, *, offset: int, limit: int
    ) -> Difference:
        upper, runs = self._upper(pod, container)
        name = f"pod/{pod.metadata.name}/{container}"
        image = await self._looked(runs, lambda image: image)

        def look(other: Opened) -> Difference:
            now = self._explorer.container(image, name, upper)
            return explored.difference(other, now, offset=offset, limit=limit)

        return await self._looked(base, look)

    async def read(
        self, reference: str, path: str, *, layer: int | None, offset: int, limit: int
    ) -> bytes:
        def look(image: Opened) -> bytes:
            number = layer - 1 if layer is not None else None
            return image.read(meant(path), limit, offset, number)

        return await self._looked(reference, look)

    def pull(self, reference: str, platform: str) -> AsyncIterator[ImageEvent]:
        return self._work.pull(reference, platform)

    def push(self, reference: str, destination: str) -> AsyncIterator[ImageEvent]:
        return self._work.push(reference, destination)

    def remove(self, reference: str) -> AsyncIterator[ImageEvent]:
        return self._work.remove(reference)

    def prune(self) -> AsyncIterator[ImageEvent]:
        return self._work.prune()

    async def _looked(self, reference: str, look: Callable[[Opened], _T]) -> _T:
        try:
            return await asyncio.to_thread(lambda: look(self._explorer.image(reference)))
        except PathNotFound as error:
            raise NotFound("files", str(error)) from error
        except ImageError as error:
            raise refused(reference, error) from error


def _digester(image: Opened) -> Callable[[int, bytes], str]:
    def digest_of(layer: int, path: bytes) -> str:
        hasher = sha256()
        image.copy(path, hasher.update, layer)
        return f"sha256:{hasher.hexdigest()}"

    return digest_of
