"""Content by digest, in the folders of an OCI image layout (image-layout.md).

A blob is immutable. It appears by rename, complete, verified and on the disk; so a name under
`blobs/sha256` is a promise about the bytes behind it.
"""

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from engine.images import stream
from engine.images.errors import BadImage
from engine.images.staging import staging, sync_folder
from engine.images.types import Digest

_MAGIC = 8
_HEX = re.compile(r"[a-f0-9]{64}")


class BlobStore:
    """The blobs of the store at `root`."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "blobs" / "sha256"
        self.tmp = root / "tmp"

    def path(self, digest: Digest) -> Path:
        return self._folder / digest.hex

    def has(self, digest: Digest) -> bool:
        return self.path(digest).exists()

    def size(self, digest: Digest) -> int:
        """Raise BadImage when the blob is not there."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            raise BadImage(f"blob {digest}: not in the store") from None

    def open(self, digest: Digest) -> int:
        """A descriptor to read the blob from. Raise BadImage when it is not there."""
        try:
            return os.open(self.path(digest), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise BadImage(f"blob {digest}: not in the store") from None

    def read(self, digest: Digest, limit: int) -> bytes:
        """A small blob's bytes, verified. Raise BadImage when missing, too large or damaged."""
        if self.size(digest) > limit:
            raise BadImage(f"blob {digest}: {self.size(digest)} bytes, the limit is {limit}")
        data = self.path(digest).read_bytes()
        if Digest.of(data) != digest:
            raise BadImage(f"blob {digest}: damaged on disk; remove its images and load them again")
        return data

    def put(self, data: bytes) -> Digest:
        """Store a small blob."""
        digest = Digest.of(data)
        self.write([data], digest, len(data))
        return digest

    def write(self, chunks: Iterable[bytes], digest: Digest, size: int) -> None:
        """Store a blob; raise BadImage, storing nothing, when the chunks are not it."""
        with staging(self.tmp) as folder:
            with open(folder / "blob", "xb", buffering=0) as file:
                for chunk in stream.verified(chunks, digest, size, f"blob {digest}"):
                    stream.write_all(file.fileno(), chunk)
            self.adopt(folder / "blob", digest)

    def adopt(self, file: Path, digest: Digest) -> None:
        """Take over a finished file whose bytes the caller has hashed to `digest`."""
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchmod(descriptor, 0o600)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        file.rename(self.path(digest))
        sync_folder(self._folder)

    def all(self) -> list[Digest]:
        """Every blob; what else may lie there is none, and is let be."""
        return [Digest(f"sha256:{n}") for n in os.listdir(self._folder) if _HEX.fullmatch(n)]

    def discard(self, digest: Digest) -> int:
        """Remove a blob; return its size."""
        size = self.size(digest)
        self.path(digest).unlink()
        return size


class HashedFile:
    """A new file that knows the digest of what was written to it."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._hash = hashlib.sha256()
        self.path = path
        self.size = 0
        self.magic = b""  # the first bytes

    def write(self, data: bytes | memoryview) -> int:
        if len(self.magic) < _MAGIC:
            self.magic += bytes(data[:_MAGIC])
        self._hash.update(data)
        stream.write_all(self._descriptor, data)
        self.size += len(data)
        return len(data)

    def close(self) -> Digest:
        os.close(self._descriptor)
        return Digest(f"sha256:{self._hash.hexdigest()}")
