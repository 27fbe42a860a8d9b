"""Tar archives, read as layers need them.

The reader takes a stream of byte chunks from a stranger and gives typed entries; whatever is not
exactly right raises BadLayer, and no length from the archive is believed beyond a limit. Names are
bytes and are given as tuples of components, in which neither "..", NUL nor an empty part can occur.

`tarfile` spends 170 us on an entry and follows other rules (its filters refuse what layers need:
devices, absolute symlinks, a file that replaces a directory); this reader spends 10.

Sources: POSIX.1-2017 pax(1), GNU tar manual "Basic Tar Format", OCI image-spec layer.md.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from engine.images import tarfields
from engine.images.errors import BadLayer
from engine.images.tarfields import NS, XATTR

BLOCK = 512
_ZERO = bytes(BLOCK)
_MAX_ID = 0xFFFFFFFE  # (uid_t) -1 means "no change" to chown(2)
_MAX_TIME = (1 << 40) * NS  # 34,000 years: filesystems cut off earlier

FILE, HARDLINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO = (
    b"0",
    b"1",
    b"2",
    b"3",
    b"4",
    b"5",
    b"6",
)
_KINDS = frozenset({FILE, HARDLINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO})

Parts = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one archive may ask of us."""

    entries: int = 1_000_000
    total: int = 1 << 40  # bytes of all files together
    header: int = 1 << 20  # bytes of one extended header
    depth: int = 512  # components of a name
    component: int = 255  # NAME_MAX
    xattr: int = (64 << 10) - 1  # XATTR_SIZE_MAX is one more; EROFS has 16 bits for it
    kept: int = 64 << 20  # bytes of all attributes and links together: they are held in memory
    link: int = 4095  # PATH_MAX
    segments: int = 100_000  # of one sparse file
    reserve: int = 64 << 20  # bytes of the disk that are left free


@dataclass(slots=True)
class Entry:
    """One member. `parts` is () for the root; `mtime` is in ns and may be negative.

    `offset` is where its body is in the archive, `target` the file that a hard link names. A sparse
    file's body is shorter than its `size`: `segments` says where its pieces go, as (at, length).
    """

    parts: Parts
    kind: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    link: bytes = b""
    device: int = 0
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    offset: int = field(default=0, compare=False)
    target: Parts = field(default=(), compare=False)
    segments: tuple[tuple[int, int], ...] | None = None


class Reader:
    """Iterates over an archive's entries; a file's body is taken by copy(), or skipped."""

    def __init__(self, chunks: Iterable[bytes], limits: Limits | None = None) -> None:
        self._chunks = iter(chunks)
        self._limits = limits or Limits()
        self._chunk = b""
        self._position = 0
        self._base = 0  # where in the archive the chunk begins
        self._body = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        """Raise BadLayer, naming the entry's number, at the first thing that is wrong."""
        count = total = kept = 0
        while True:
            self._skip(self._body + self._padding)
            self._body = self._padding = 0
            try:
                entry = self._next()
                if entry is None:
                    break
                count += 1
                total += entry.size
                kept += len(entry.link) + sum(len(value) for _, value in entry.xattrs)
                if count > self._limits.entries:
                    raise BadLayer(f"more than {self._limits.entries} entries")
                if total > self._limits.total:
                    raise BadLayer(f"more than {self._limits.total} bytes of files")
                if kept > self._limits.kept:
                    raise BadLayer(f"more than {self._limits.kept} bytes of links and attributes")
            except BadLayer as error:
                raise BadLayer(f"tar entry {count}: {error}") from None
            entry.offset = self._base + self._position
            yield entry
        # A diff id covers every byte of the stream, also those after the archive's end.
        for _ in self._chunks:
            pass

    def copy(self, write: Callable[[memoryview], int], length: int | None = None) -> None:
        """Give the current file's bytes, or the next `length` of them, to `write`, which may take
        less than it is given."""
        left = self._body if length is None else length
        self._body -= left
        while left:
            available = len(self._chunk) - self._position
            if not available:
                self._more()
                continue
            size = min(left, available)
            view = memoryview(self._chunk)[self._position : self._position + size]
            written = write(view)
            self._position += written
            left -= written

    def read(self, limit: int) -> bytes:
        """The current file's bytes; BadLayer when there are more than `limit`."""
        if self._body > limit:
            raise BadLayer(f"file of {self._body} bytes, the limit is {limit}")
        size, self._body = self._body, 0
        return self._take(size)

    def _more(self) -> None:
        for chunk in self._chunks:
            if chunk:
                self._base += len(self._chunk)
                self._chunk, self._position = chunk, 0
                return
        raise BadLayer("the archive ends within an entry")

    def _take(self, size: int) -> bytes:
        end = self._position + size
        if end <= len(self._chunk):
            taken = self._chunk[self._position : end]
            self._position = end
            return taken
        pieces = []
        while size:
            if self._position == len(self._chunk):
                self._more()
            piece = self._chunk[self._position : self._position + size]
            self._position += len(piece)
            size -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def _skip(self, size: int) -> None:
        while size:
            if self._position == len(self._chunk):
                self._more()
            step = min(size, len(self._chunk) - self._position)
            self._position += step
            size -= step

    def _header(self) -> bytes | None:
        """The next block that is not the archive's end; None at its end."""
        while self._position == len(self._chunk):
            chunk = next(self._chunks, None)
            if chunk is None:
                return None  # without its end marker: old writers, and every reader takes it
            self._base += len(self._chunk)
            self._chunk, self._position = chunk, 0
        header = self._take(BLOCK)
        if header == _ZERO:
            return None
        stated = tarfields.number(header[148:156])
        if stated != tarfields.checksum(header) and stated != tarfields.signed_checksum(header):
            raise BadLayer("header checksum is wrong")
        return header

    def _next(self) -> Entry | None:
        pax: dict[bytes, bytes] = {}
        name = link = None
        while True:
            header = self._header()
            if header is None:
                if pax or name is not None or link is not None:
                    raise BadLayer("the archive ends after an extended header")
                return None
            kind = header[156:157]
            if kind not in (b"x", b"g", b"L", b"K"):
                return self._entry(header, kind, pax, name, link)
            size = tarfields.number(header[124:136])
            if size > self._limits.header:
                raise BadLayer(
                    f"extended header of {size} bytes, the limit is {self._limits.header}"
                )
            data = self._take(size)
            self._skip(-size % BLOCK)
            if kind == b"x":
                pax = tarfields.records(data)
            elif kind == b"L":
                name = data.split(b"\0", 1)[0]
            elif kind == b"K":
                link = data.split(b"\0", 1)[0]

    def _entry(
        self,
        header: bytes,
        kind: bytes,
        pax: dict[bytes, bytes],
        name: bytes | None,
        link: bytes | None,
    ) -> Entry:
        ustar = header[257:262] == b"ustar"
        if name is None:
            name = header[:100].split(b"\0", 1)[0]
            # GNU's magic is "ustar  \0": it keeps times where POSIX keeps the prefix.
            if header[257:263] == b"ustar\0" and header[345]:
                name = header[345:500].split(b"\0", 1)[0] + b"/" + name
        if link is None:
            link = header[157:257].split(b"\0", 1)[0]
        if kind in (b"\0", b"7"):
            kind = FILE
        if kind == FILE and not ustar and name.endswith(b"/"):
            kind = DIRECTORY  # how v7 tar wrote one
        sparse = header if kind == b"S" else None
        if sparse is not None:
            kind = FILE
        if kind not in _KINDS:
            raise BadLayer(f"{name[:80]!r}: an entry of type {kind!r} cannot be unpacked")
        entry = Entry(
            parts=self._parts(pax.get(b"path", name)),
            kind=kind,
            mode=tarfields.number(header[100:108]) & 0o7777,
            uid=tarfields.number(header[108:116]),
            gid=tarfields.number(header[116:124]),
            size=tarfields.number(header[124:136]) if kind == FILE else 0,
            mtime=tarfields.number(header[136:148], signed=True) * NS,
            link=pax.get(b"linkpath", link),
        )
        if kind in (CHAR, BLOCK_DEVICE):
            entry.device = os.makedev(
                tarfields.device(header[329:337]), tarfields.device(header[337:345])
            )
        if pax:
            self._override(entry, pax)
        if entry.uid > _MAX_ID or entry.gid > _MAX_ID:
            raise BadLayer(f"{name[:80]!r}: owner {entry.uid}:{entry.gid} is out of range")
        if abs(entry.mtime) > _MAX_TIME:
            raise BadLayer(f"{name[:80]!r}: time is out of range")
        if len(entry.link) > self._limits.link:
            raise BadLayer(f"{name[:80]!r}: link of {len(entry.link)} bytes")
        if kind == HARDLINK:
            entry.target = self._parts(entry.link)
        elif kind == FILE:
            self._body, self._padding = entry.size, -entry.size % BLOCK
            if sparse is not None or any(key.startswith(b"GNU.sparse.") for key in pax):
                self._sparse(entry, sparse, pax)
        return entry

    def _sparse(self, entry: Entry, header: bytes | None, pax: dict[bytes, bytes]) -> None:
        """What of a file with holes is in the archive (GNU tar manual, "Storing Sparse Files")."""
        if header is not None:
            size, numbers = tarfields.number(header[483:495]), tarfields.fields(header[386:482])
            more = header[482]
            while more:
                block = self._take(BLOCK)
                numbers += tarfields.fields(block[:504])
                more = block[504]
                if len(numbers) > 2 * self._limits.segments:
                    break
        else:
            size = tarfields.decimal(
                *tarfields.either(pax, b"GNU.sparse.realsize", b"GNU.sparse.size")
            )
            if b"GNU.sparse.name" in pax:
                entry.parts = self._parts(pax[b"GNU.sparse.name"])
            if b"GNU.sparse.map" in pax:
                fields = pax[b"GNU.sparse.map"].split(b",")
                numbers = [tarfields.decimal(b"GNU.sparse.map", field) for field in fields]
            else:
                numbers = self._map()
        if len(numbers) > 2 * self._limits.segments or len(numbers) % 2:
            raise BadLayer(f"sparse file with {len(numbers)} numbers in its map")
        segments = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        end = 0
        for at, length in segments:
            # Overlapping ones would let a small archive fill a disk.
            if at < end:
                raise BadLayer("sparse file whose segments overlap")
            end = at + length
        if end > size or size >= 1 << 63 or sum(length for _, length in segments) != self._body:
            raise BadLayer(f"sparse file of {size} bytes whose segments do not fit it")
        entry.size, entry.segments = size, segments

    def _map(self) -> list[int]:
        """A map of version 1.0: decimal lines before the file's bytes, padded to a block."""
        numbers: list[int] = []
        text, wanted = b"", 1
        while len(numbers) < wanted:
            line, newline, rest = text.partition(b"\n")
            if not newline:
                if self._body < BLOCK or len(text) >= BLOCK:
                    raise BadLayer("sparse file whose map is cut short")
                self._body -= BLOCK
                text += self._take(BLOCK)
                continue
            text = rest
            numbers.append(tarfields.decimal(b"sparse map", line))
            wanted = 1 + 2 * numbers[0]
            if numbers[0] > self._limits.segments:
                raise BadLayer(f"sparse file of {numbers[0]} segments")
        return numbers[1:]

    def _override(self, entry: Entry, pax: dict[bytes, bytes]) -> None:
        xattrs = []
        for key, value in pax.items():
            if key == b"size" and entry.kind == FILE:
                entry.size = tarfields.decimal(key, value)
            elif key == b"uid":
                entry.uid = tarfields.decimal(key, value)
            elif key == b"gid":
                entry.gid = tarfields.decimal(key, value)
            elif key == b"mtime":
                entry.mtime = tarfields.time(value)
            elif key.startswith(XATTR):
                if len(value) > self._limits.xattr:
                    raise BadLayer(f"extended attribute {key[13:80]!r} of {len(value)} bytes")
                xattrs.append((key[len(XATTR) :], value))
        entry.xattrs = tuple(xattrs)

    def _parts(self, name: bytes) -> Parts:
        if b"\0" in name:
            raise BadLayer(f"name {name[:80]!r} has a NUL byte")
        parts = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
        if b".." in parts:
            raise BadLayer(f"name {name[:80]!r} has '..' in it")
        if len(parts) > self._limits.depth:
            raise BadLayer(f"name {name[:80]!r} is {len(parts)} levels deep")
        if any(len(part) > self._limits.component for part in parts):
            raise BadLayer(
                f"name {name[:80]!r} has a part longer than {self._limits.component} bytes"
            )
        return parts
