"""Pulling images for the pods of an engine: few at once, and one at a time for each name.

The work is done in threads. Who asks for a name that is being pulled joins; when nobody waits for
it any more the transfer ends, and what came is kept for the next try.
"""

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.images.hostimage import REFERENCE
from engine.images.reference import Reference
from engine.images.registry.stop import Stop
from engine.images.store import ImageStore
from engine.images.types import Image

if TYPE_CHECKING:
    from engine.images.registry.pull import Pulled

AT_ONCE = 3

Secrets = tuple[tuple[str, bytes], ...]
"""(name, document in docker's format)"""


@dataclass(frozen=True, slots=True)
class PulledImage:
    """Seconds: of the pull itself, and with the wait for its turn."""

    image: Image
    seconds: float
    waited: float


@dataclass(slots=True)
class _UnderWay:
    task: asyncio.Task[PulledImage]
    stop: Stop
    waiters: int = 0


class ImagePuller:
    """Pulls into one store, by the settings of `home` and the credentials of this process."""

    def __init__(self, images: ImageStore, home: Path) -> None:
        self._images = images
        self._home = home
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._threads = ThreadPoolExecutor(AT_ONCE, "image pull")
        self._under_way: dict[tuple[str, Secrets], _UnderWay] = {}

    async def pull(self, reference: str, secrets: Secrets) -> PulledImage:
        """The image as the registry has it now. Raise ImageError or OSError."""
        key = (reference, secrets)
        work = self._under_way.get(key)
        if work is None:
            stop = Stop()
            task = asyncio.create_task(self._pull(reference, secrets, stop), name=reference)
            work = self._under_way[key] = _UnderWay(task, stop)
            task.add_done_callback(lambda _: self._forget(key, task))
        work.waiters += 1
        try:
            return await asyncio.shield(work.task)
        finally:
            work.waiters -= 1
            if not work.waiters and not work.task.done():
                work.stop.cancel()
                self._forget(key, work.task)

    def _forget(self, key: tuple[str, Secrets], task: asyncio.Task[PulledImage]) -> None:
        work = self._under_way.get(key)
        if work is not None and work.task is task:
            del self._under_way[key]
        if task.done() and not task.cancelled():
            task.exception()  # everyone may have left before it came

    async def _pull(self, reference: str, secrets: Secrets, stop: Stop) -> PulledImage:
        asked = time.monotonic()
        async with self._turns:
            pulling = asyncio.get_running_loop().run_in_executor(
                self._threads, self._work, reference, secrets, stop
            )
            done = await pulling
        return PulledImage(done.image, done.seconds, time.monotonic() - asked)

    def _work(self, reference: str, secrets: Secrets, stop: Stop) -> "Pulled":
        # TLS and HTTP are loaded with the first pull, not with the engine.
        from engine.images.registry.pull import pull
        from engine.images.registry.session import Session

        session = Session.of(self._home, os.environ, secrets=secrets, stop=stop)
        return pull(self._images, reference, session, ready=True)


def local_only(reference: Reference) -> bool:
    """Whether it is the image made from this machine's files, which no registry has."""
    return reference.name == Reference.parse(REFERENCE).name
