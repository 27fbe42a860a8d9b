"""Pulls, pushes and removals that somebody watches: events as they happen, from threads of our own.

Who leaves ends the work: a transfer stops where it is, and the next one goes on from there.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.images.errors import ImageError, ImageNotFound
from engine.images.registry.progress import BlobProgress, Event, Resolved, Retrying, Watch
from engine.images.registry.stop import Stop
from engine.images.store import ImageStore
from engine.types.imagework import BlobWork, ImageEvent
from engine.types.status import BadRequest, NotFound, StatusError

AT_ONCE = 3

Work = Callable[[Watch, Stop], ImageEvent]
"""Does it, and says what became of it. Raises ImageError or OSError."""


class ImageWork:
    """Work on one store, by the settings of `home` and the credentials of this process."""

    def __init__(self, store: ImageStore, home: Path) -> None:
        self._store = store
        self._home = home
        self._threads = ThreadPoolExecutor(AT_ONCE, "image work")

    def pull(self, reference: str, platform: str) -> AsyncIterator[ImageEvent]:
        """Raise StatusError when it fails at once; later the last event says so."""

        def work(watch: Watch, stop: Stop) -> ImageEvent:
            # TLS and HTTP are loaded with the first transfer, not with the engine.
            from engine.images.registry import platforms
            from engine.images.registry.pull import pull
            from engine.images.registry.session import Session

            wanted = platforms.parse(platform) if platform else None
            session = Session.of(self._home, os.environ, stop=stop, watch=watch)
            done = pull(self._store, reference, session, platform=wanted, ready=True)
            return ImageEvent(
                event="done",
                reference=done.image.reference,
                digest=str(done.digest),
                seconds=done.seconds,
                transferred=done.transferred,
            )

        return self._watched(reference, work)

    def push(self, reference: str, destination: str) -> AsyncIterator[ImageEvent]:
        """As pull()."""

        def work(watch: Watch, stop: Stop) -> ImageEvent:
            from engine.images.registry.push import push
            from engine.images.registry.session import Session

            session = Session.of(self._home, os.environ, stop=stop, watch=watch)
            done = push(self._store, reference, session, destination=destination)
            return ImageEvent(
                event="done",
                reference=done.reference,
                digest=str(done.digest),
                seconds=done.seconds,
                transferred=done.transferred,
            )

        return self._watched(reference, work)

    def remove(self, reference: str) -> AsyncIterator[ImageEvent]:
        """A name by reference, or the first name of an image by its digest."""

        def work(watch: Watch, stop: Stop) -> ImageEvent:
            by_digest = reference.startswith("sha256:")
            name = self._store.resolve(reference).reference if by_digest else reference
            freed = self._store.remove(name)
            return ImageEvent(
                event="done",
                reference=name,
                removed_blobs=freed.blobs,
                removed_layers=freed.layers,
                freed=freed.size,
            )

        return self._watched(reference, work)

    def prune(self) -> AsyncIterator[ImageEvent]:
        """Everything that no image needs."""

        def work(watch: Watch, stop: Stop) -> ImageEvent:
            freed = self._store.gc()
            return ImageEvent(
                event="done",
                removed_blobs=freed.blobs,
                removed_layers=freed.layers,
                freed=freed.size,
            )

        return self._watched("", work)

    async def _watched(self, reference: str, work: Work) -> AsyncIterator[ImageEvent]:
        loop, stop = asyncio.get_running_loop(), Stop()
        events: asyncio.Queue[ImageEvent | None] = asyncio.Queue()

        def watch(event: Event) -> None:
            loop.call_soon_threadsafe(events.put_nowait, _told(event))

        working = loop.run_in_executor(self._threads, work, watch, stop)
        working.add_done_callback(lambda _: events.put_nowait(None))
        begun = False
        try:
            while (event := await events.get()) is not None:
                begun = True
                yield event
            try:
                yield working.result()
            except (ImageError, OSError) as error:
                if not begun:
                    raise refused(reference, error) from error
                yield ImageEvent(event="failed", reference=reference, message=str(error))
        finally:
            if not working.done():
                stop.cancel()
                await asyncio.wait([working])
            if not working.cancelled():
                working.exception()  # nobody is there to hear it


def refused(reference: str, error: Exception) -> StatusError:
    """What the API answers for a failure of the store."""
    if isinstance(error, ImageNotFound):
        return NotFound("images", reference)
    return BadRequest(str(error))


def _told(event: Event) -> ImageEvent:
    match event:
        case Resolved():
            return ImageEvent(
                event="resolved",
                reference=event.reference,
                digest=str(event.digest),
                blobs=[_blob(blob) for blob in event.blobs],
            )
        case BlobProgress():
            return ImageEvent(event="blob", blob=_blob(event))
        case Retrying():
            return ImageEvent(event="retrying", message=event.why, seconds=event.seconds)


def _blob(blob: BlobProgress) -> BlobWork:
    return BlobWork(
        digest=str(blob.digest),
        kind=blob.kind,
        size=blob.size,
        state=blob.state,
        done=blob.done,
        resumed=blob.resumed,
        rate=blob.rate,
        remaining=blob.remaining,
    )
