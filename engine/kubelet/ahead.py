"""Containers of a pod that are made before they may start: while they wait out a back-off, and
while an init container runs before them. Of their start only the exec is left then.

What was made is used only if it is what would be made now: all that it is made of is compared.
"""

import asyncio
from collections.abc import Awaitable, Callable

from engine.kubelet.node import LocalNode
from engine.kubelet.podimages import FoundImage
from engine.kubelet.privileges import pids_of
from engine.kubelet.starter import Made, NotStarted, PodGround, Recipe, make, recipe
from engine.runtime.runtime import ContainerConfig, RuntimeFailure
from engine.types.containers import Container

Find = Callable[[], Awaitable[FoundImage | None]]


class Ahead:
    """Of one pod, by the names of its containers."""

    def __init__(self, node: LocalNode) -> None:
        self._node = node
        self._tasks: dict[str, asyncio.Task[Made | None]] = {}

    def begin(self, ground: PodGround, container: Container, attempt: int, find: Find) -> None:
        """Have its next life made, of the image that `find` finds; fine when that was begun. Not of
        one that joins another's processes, nor with a part of a volume, which whoever runs before
        may still put there."""
        joins = pids_of(ground.pod, container) is not None
        parts = any(mount.sub_path or mount.sub_path_expr for mount in container.volume_mounts)
        if container.name not in self._tasks and not joins and not parts:
            making = self._make(ground, container, attempt, find)
            self._tasks[container.name] = asyncio.create_task(making, name=container.name)

    async def _make(
        self, ground: PodGround, container: Container, attempt: int, find: Find
    ) -> Made | None:
        try:
            found = await find()
            if found is None:
                return None
            image, lowerdirs = found.image, found.lowerdirs
            asked = recipe(self._node, ground, container, attempt, image, lowerdirs)
            made = await make(self._node, ground, container, image, asked)
            await self._node.runtime.create(made.config)
        except (NotStarted, RuntimeFailure, OSError):
            # The start itself will say why it cannot be.
            return None
        return made

    async def take(self, name: str, asked: Recipe) -> ContainerConfig | None:
        """What was made to that recipe, to be started; None without any."""
        made = await self._tasks.pop(name) if name in self._tasks else None
        if made is not None and made.recipe != asked:
            await self._node.runtime.unprepare(made.config.id)
            return None
        return made.config if made is not None else None

    async def close(self) -> None:
        """Nobody needs them any more."""
        while self._tasks:
            _, task = self._tasks.popitem()
            made = await task
            if made is not None:
                try:
                    await self._node.runtime.unprepare(made.config.id)
                except RuntimeFailure:
                    # It went with its keeper, or goes with this connection to it.
                    continue
