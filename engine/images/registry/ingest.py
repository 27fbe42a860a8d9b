"""Blobs on their way in: `ingest/<digest>.part`, kept until they are whole, whatever happens.

A part is locked by who fills it. What an earlier process left is hashed again and gone on with, so
a break costs only the bytes that had not come. A finished one is verified, and waits here until its
image is complete, because only then does the collector know that it is needed.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.images.blobs import BlobStore
from engine.images.errors import BadImage
from engine.images.registry.stop import Stop
from engine.images.registry.wire import Clock
from engine.images.types import Digest

_CHUNK = 1 << 20
_KEEP_S = 7 * 24 * 3600.0
_LOOK_S = 0.2


class Part:
    """The beginning of a blob, open and locked."""

    def __init__(self, descriptor: int, path: Path, digest: Digest, size: int) -> None:
        self._descriptor = descriptor
        self._path = path
        self._digest = digest
        self._size = size
        self._hash = hashlib.sha256()
        self.done = 0

    def recall(self, told: Callable[[], None]) -> None:
        """Hash what is there already; `told` is called now and then."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        while chunk := os.read(self._descriptor, _CHUNK):
            self._hash.update(chunk)
            self.done += len(chunk)
            told()
            if self.done > self._size:
                self.restart()
                return
        if self.done == self._size and self._hash.hexdigest() != self._digest.hex:
            self.restart()

    def restart(self) -> None:
        """Forget what is there."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._hash, self.done = hashlib.sha256(), 0

    def append(self, chunks: Iterable[bytes], came: Callable[[int], None]) -> None:
        """Write what comes; raise BadImage as soon as it is more than there should be."""
        for chunk in chunks:
            if self.done + len(chunk) > self._size:
                self.restart()
                raise BadImage(f"blob {self._digest}: longer than its {self._size} bytes")
            view = memoryview(chunk)
            while view:
                view = view[os.write(self._descriptor, view) :]
            self._hash.update(chunk)
            self.done += len(chunk)
            came(len(chunk))

    def verify(self) -> None:
        """Raise BadImage, forgetting everything, when the bytes are another blob's."""
        found = self._hash.hexdigest()
        if found != self._digest.hex:
            self.restart()
            raise BadImage(f"blob {self._digest}: the registry's bytes have digest sha256:{found}")


class Ingest:
    """The parts of one store."""

    def __init__(self, root: Path, blobs: BlobStore, clock: Clock) -> None:
        self._folder = root / "ingest"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._blobs = blobs
        self._clock = clock

    @contextmanager
    def part(self, digest: Digest, size: int, stop: Stop) -> Iterator[Part | None]:
        """The blob's part, for us alone; None when somebody has stored the blob meanwhile."""
        path = self.path(digest)
        while True:
            if self._blobs.has(digest):
                yield None
                return
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o600)
            try:
                if self._lock(descriptor, path):
                    yield Part(descriptor, path, digest, size)
                    return
            finally:
                os.close(descriptor)
            self._clock.wait(stop, _LOOK_S)

    def _lock(self, descriptor: int, path: Path) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.path.samestat(os.fstat(descriptor), path.stat())
        except (BlockingIOError, FileNotFoundError):
            return False  # somebody is at it, or has just moved it into the store

    def path(self, digest: Digest) -> Path:
        """Where a blob is until its image is complete."""
        return self._folder / f"{digest.hex}.part"

    def size(self, digest: Digest) -> int:
        """How much of a blob waits here."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return 0

    def read(self, digest: Digest, limit: int) -> bytes:
        """A small blob that is whole, here or in the store. Raise BadImage."""
        try:
            raw = self.path(digest).read_bytes()
        except FileNotFoundError:
            return self._blobs.read(digest, limit)
        if Digest.of(raw) != digest:
            raise BadImage(f"blob {digest}: changed on disk")
        return raw

    def store(self, digest: Digest) -> bool:
        """Move a verified part into the store; False when it is neither here nor there."""
        path = self.path(digest)
        if self._blobs.has(digest):
            path.unlink(missing_ok=True)
            return True
        try:
            self._blobs.adopt(path, digest)
        except FileNotFoundError:
            return self._blobs.has(digest)
        return True

    def sweep(self) -> None:
        """Remove what nobody came back for within a week."""
        oldest = time.time() - _KEEP_S
        for path in self._folder.iterdir():
            try:
                if path.stat().st_mtime < oldest:
                    path.unlink()
            except FileNotFoundError:
                continue  # somebody was faster
