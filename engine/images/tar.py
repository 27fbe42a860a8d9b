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
from dataclasses import dataclass

from engine.images.errors import BadLayer

BLOCK = 512
_ZERO = bytes(BLOCK)
XATTR = b"SCHILY.xattr."
_MAX_ID = 0xFFFFFFFE  # (uid_t) -1 means "no change" to chown(2)
_NS = 1_000_000_000
_MAX_TIME = (1 << 40) * _NS  # 34,000 years: filesystems cut off earlier

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
    xattr: int = 64 << 10  # XATTR_SIZE_MAX


@dataclass(slots=True)
class Entry:
    """One member. `parts` is () for the root; `mtime` is in ns and may be negative."""

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


class Reader:
    """Iterates over an archive's entries; a file's body is taken by copy(), or skipped."""

    def __init__(self, chunks: Iterable[bytes], limits: Limits | None = None) -> None:
        self._chunks = iter(chunks)
        self._limits = limits or Limits()
        self._chunk = b""
        self._position = 0
        self._body = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        """Raise BadLayer, naming the entry's number, at the first thing that is wrong."""
        count = total = 0
        while True:
            self._skip(self._body + self._padding)
            self._body = self._padding = 0
            try:
                entry = self._next()
                if entry is None:
                    break
                count += 1
                total += entry.size
                if count > self._limits.entries:
                    raise BadLayer(f"more than {self._limits.entries} entries")
                if total > self._limits.total:
                    raise BadLayer(f"more than {self._limits.total} bytes of files")
            except BadLayer as error:
                raise BadLayer(f"tar entry {count}: {error}") from None
            if entry.kind == FILE:
                self._body, self._padding = entry.size, -entry.size % BLOCK
            yield entry
        # A diff id covers every byte of the stream, also those after the archive's end.
        for _ in self._chunks:
            pass

    def copy(self, write: Callable[[memoryview], int]) -> None:
        """Give the current file's bytes to `write`, which may take less than it is given."""
        while self._body:
            available = len(self._chunk) - self._position
            if not available:
                self._more()
                continue
            size = min(self._body, available)
            view = memoryview(self._chunk)[self._position : self._position + size]
            written = write(view)
            self._position += written
            self._body -= written

    def read(self, limit: int) -> bytes:
        """The current file's bytes; BadLayer when there are more than `limit`."""
        if self._body > limit:
            raise BadLayer(f"file of {self._body} bytes, the limit is {limit}")
        size, self._body = self._body, 0
        return self._take(size)

    def _more(self) -> None:
        for chunk in self._chunks:
            if chunk:
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
            self._chunk, self._position = chunk, 0
        header = self._take(BLOCK)
        if header == _ZERO:
            return None
        stated = _number(header[148:156])
        if stated != checksum(header) and stated != _signed_checksum(header):
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
            size = _number(header[124:136])
            if size > self._limits.header:
                raise BadLayer(
                    f"extended header of {size} bytes, the limit is {self._limits.header}"
                )
            data = self._take(size)
            self._skip(-size % BLOCK)
            if kind == b"x":
                pax = _records(data)
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
        if kind not in _KINDS or any(key.startswith(b"GNU.sparse.") for key in pax):
            what = "sparse file" if kind in (b"S", FILE) else f"entry of type {kind!r}"
            raise BadLayer(f"{name[:80]!r}: a {what} cannot be unpacked")
        entry = Entry(
            parts=self._parts(pax.get(b"path", name)),
            kind=kind,
            mode=_number(header[100:108]) & 0o7777,
            uid=_number(header[108:116]),
            gid=_number(header[116:124]),
            size=_number(header[124:136]) if kind == FILE else 0,
            mtime=_number(header[136:148], signed=True) * _NS,
            link=pax.get(b"linkpath", link),
        )
        if kind in (CHAR, BLOCK_DEVICE):
            entry.device = os.makedev(_device(header[329:337]), _device(header[337:345]))
        if pax:
            self._override(entry, pax)
        if entry.uid > _MAX_ID or entry.gid > _MAX_ID:
            raise BadLayer(f"{name[:80]!r}: owner {entry.uid}:{entry.gid} is out of range")
        if abs(entry.mtime) > _MAX_TIME:
            raise BadLayer(f"{name[:80]!r}: time is out of range")
        return entry

    def _override(self, entry: Entry, pax: dict[bytes, bytes]) -> None:
        xattrs = []
        for key, value in pax.items():
            if key == b"size" and entry.kind == FILE:
                entry.size = _decimal(key, value)
            elif key == b"uid":
                entry.uid = _decimal(key, value)
            elif key == b"gid":
                entry.gid = _decimal(key, value)
            elif key == b"mtime":
                entry.mtime = _time(value)
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

    def link_parts(self, entry: Entry) -> Parts:
        """A hard link's target: a name within the archive, by the same rules as any name."""
        return self._parts(entry.link)


def checksum(header: bytes) -> int:
    return sum(header) - sum(header[148:156]) + 8 * 32


def _signed_checksum(header: bytes) -> int:
    # Some old writers summed `char`, which was signed.
    high = sum(byte > 127 for byte in header[:148] + header[156:])
    return checksum(header) - 256 * high


def _number(field: bytes, *, signed: bool = False) -> int:
    """An octal field, or GNU's base-256 (first bit set; two's complement)."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        if field[0] & 0x40:
            value -= 1 << (8 * len(field) - 1)
            if not signed:
                raise BadLayer(f"negative number {value}")
        return value
    digits = field.split(b"\0", 1)[0].strip(b" ")
    if not digits:
        return 0
    try:
        return int(digits, 8) if digits.isdigit() else -1 // 0
    except (ValueError, ZeroDivisionError):
        raise BadLayer(f"number {digits!r} is not octal") from None


def _device(field: bytes) -> int:
    number = _number(field)
    if number >= 1 << 20:
        raise BadLayer(f"device number {number} is out of range")
    return number


def _records(data: bytes) -> dict[bytes, bytes]:
    """A PAX header: "LENGTH KEY=VALUE\\n", LENGTH counting itself."""
    records: dict[bytes, bytes] = {}
    position, end = 0, len(data)
    while position < end:
        space = data.find(b" ", position, position + 20)
        digits = data[position:space] if space > 0 else b""
        length = int(digits) if digits.isdigit() else 0
        stop = position + length
        if length < 5 or stop > end or data[stop - 1] != 0x0A:
            raise BadLayer("PAX header: wrong record length")
        key, equals, value = data[space + 1 : stop - 1].partition(b"=")
        if not equals or not key:
            raise BadLayer("PAX header: a record without '='")
        if value or key.startswith(XATTR):
            records[key] = value
        else:
            records.pop(key, None)  # an empty value takes the record back
        position = stop
    return records


def _decimal(key: bytes, value: bytes) -> int:
    if not value.isdigit() or len(value) > 19:
        raise BadLayer(f"PAX {key.decode()} {value[:40]!r} is not a number")
    return int(value)


def _time(value: bytes) -> int:
    """Decimal seconds with an optional fraction, to nanoseconds."""
    negative = value.startswith(b"-")
    seconds, _, fraction = value.removeprefix(b"-").partition(b".")
    if not seconds.isdigit() or len(seconds) > 19 or (fraction and not fraction.isdigit()):
        raise BadLayer(f"PAX mtime {value[:40]!r} is not a time")
    nanoseconds = int(seconds) * _NS + int((fraction + b"000000000")[:9])
    return -nanoseconds if negative else nanoseconds
