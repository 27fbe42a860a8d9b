"""Layers made ready while they arrive: what is downloaded is read again from the page cache, by a
thread that goes through the stack from its lowest layer.

What comes of it is right by its own digest, the diff id, whatever happens to the download. If it
goes wrong nothing is kept, and is told when the layers are made ready once more from whole blobs.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.images import stream
from engine.images.errors import ImageError
from engine.images.registry.ingest import Ingest
from engine.images.registry.stop import Stop
from engine.images.store import ImageStore
from engine.images.types import Descriptor, Digest, chain_ids

_LOOK_S = 0.2  # another process may be the one that downloads


class Arrivals:
    """The blobs of one pull, and who waits for their bytes."""

    def __init__(self, store: ImageStore, ingest: Ingest, stop: Stop) -> None:
        self._store = store
        self._ingest = ingest
        self._stop = stop
        self._more = threading.Condition()

    def came(self) -> None:
        """Some bytes are there that were not."""
        with self._more:
            self._more.notify_all()

    @contextmanager
    def unpacked(self, layers: Sequence[Descriptor], diff_ids: Sequence[Digest]) -> Iterator[None]:
        """Make the layers ready, the lowest first, while the context lasts, and wait for the rest
        at its end; an error ends it at once."""

        def packed(number: int) -> Iterator[bytes]:
            return self._chunks(layers[number])

        def run() -> None:
            try:
                self._store.ready_stack(diff_ids, packed)
            except (ImageError, OSError):
                pass  # see above: what is wrong is told by who makes them ready at last

        thread = threading.Thread(target=run, name="unpack", daemon=True)
        with self._store.lease({*diff_ids, *chain_ids(tuple(diff_ids))}):
            self._stop.register(self.came)
            thread.start()
            try:
                yield
            except BaseException:
                self._stop.cancel()
                raise
            finally:
                thread.join()
                self._stop.forget(self.came)

    def _chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """A blob's bytes as they come."""
        descriptor = self._open(blob.digest)
        try:
            left = blob.size
            while left:
                chunk = os.read(descriptor, min(left, stream.CHUNK))
                left -= len(chunk)
                if chunk:
                    yield chunk
                else:
                    self._wait()
        finally:
            os.close(descriptor)

    def _open(self, digest: Digest) -> int:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        while True:
            for path in self._places(digest):
                try:
                    return os.open(path, flags)
                except FileNotFoundError:
                    continue
            self._wait()

    def _places(self, digest: Digest) -> tuple[Path, Path]:
        return self._ingest.path(digest), self._store.blobs.path(digest)

    def _wait(self) -> None:
        self._stop.check()
        with self._more:
            self._more.wait(_LOOK_S)
