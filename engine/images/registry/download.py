"""Bringing blobs in: several at a time, each gone on with after every break."""

import shutil
import threading
from collections.abc import Callable, Sequence
from functools import partial

from engine.images.errors import BadImage
from engine.images.registry.client import Repository
from engine.images.registry.errors import NoRoom, Unreachable
from engine.images.registry.http import ATTEMPTS, Http, Lost
from engine.images.registry.ingest import Ingest, Part
from engine.images.registry.progress import Meter, State
from engine.images.registry.session import Sources
from engine.images.registry.workers import together
from engine.images.store import ImageStore
from engine.images.types import Descriptor

_WORTH = 1 << 20  # a try that brought so much does not count as a failure


def _untold() -> None:
    pass


class Download:
    """From the sources of one image into the store's ingest. `transferred` counts bytes."""

    def __init__(self, store: ImageStore, ingest: Ingest, sources: Sources, http: Http) -> None:
        self._store = store
        self._ingest = ingest
        self._sources = sources
        self._http = http
        self._lock = threading.Lock()
        self._came: Callable[[], None] = _untold
        self.transferred = 0

    def all(
        self, blobs: Sequence[tuple[Descriptor, Meter]], came: Callable[[], None] | None = None
    ) -> None:
        """Fetch what is missing. The first failure ends the others, and is raised.

        `came` is called, by any thread, whenever bytes are there. Raise RegistryError, BadImage, or
        OSError.
        """
        self._came = came or _untold
        self._room([blob for blob, _ in blobs])
        # Small ones first: they free their threads for the large ones.
        ordered = sorted(blobs, key=lambda each: each[0].size)
        together([partial(self.one, *each) for each in ordered], self._http.stop)

    def one(self, blob: Descriptor, meter: Meter) -> None:
        """Fetch one blob, unless it is there."""
        with self._ingest.part(blob.digest, blob.size, self._http.stop) as part:
            if part is None:
                meter.end(State.PRESENT)
                return
            part.recall(self._http.stop.check)
            resumed = part.done
            meter.begin(resumed, resumed)
            self._fill(part, blob, meter)
            try:
                part.verify()
            except BadImage:
                if not resumed:
                    raise
                # What an earlier try left may be what is wrong: once more from the beginning.
                meter.begin(0)
                self._fill(part, blob, meter)
                part.verify()
            meter.end(State.DONE)

    def _fill(self, part: Part, blob: Descriptor, meter: Meter) -> None:
        if part.done < blob.size:
            self._sources.first(lambda repository: self._from(repository, part, blob, meter))

    def _from(self, repository: Repository, part: Part, blob: Descriptor, meter: Meter) -> None:
        def came(count: int) -> None:
            meter.add(count)
            with self._lock:
                self.transferred += count
            self._came()

        failures = 0
        while part.done < blob.size:
            before = part.done
            try:
                with repository.blob(blob.digest, blob.size, part.done) as (start, chunks):
                    if start != part.done:
                        part.restart()
                        meter.begin(0)
                    part.append(chunks, came)
                if part.done < blob.size:
                    raise Lost(f"ended {blob.size - part.done} bytes before its end")
            except Lost as error:
                self._http.stop.check()
                failures = 0 if part.done - before >= _WORTH else failures + 1
                if failures == ATTEMPTS:
                    raise Unreachable(repository.host, f"blob {blob.digest}: {error}") from error
                self._http.pause(max(1, failures), f"{repository.host}: {error}")

    def _room(self, blobs: Sequence[Descriptor]) -> None:
        """Raise NoRoom before the disk is full rather than after."""
        needed = sum(blob.size for blob in blobs if not self._store.blobs.has(blob.digest))
        needed -= sum(self._ingest.size(blob.digest) for blob in blobs)
        free = shutil.disk_usage(self._store.root).free
        if needed > free:
            raise NoRoom(
                f"{needed} bytes are to come, and only {free} are free in {self._store.root}"
            )
