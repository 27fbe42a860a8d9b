"""Writing tar archives: the same entries give the same bytes.

The form is ustar, with a PAX header only where ustar cannot say it (POSIX.1-2017, pax(1)).
"""

import os
from collections.abc import Callable, Iterable

from engine.images.tar import BLOCK, DIRECTORY, Entry
from engine.images.tarfields import NS, XATTR, checksum


class Writer:
    """Writes an archive: ustar, with a PAX header only where ustar cannot say it."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write

    def add(self, entry: Entry, body: Iterable[bytes] = ()) -> None:
        """Write one member. Raise ValueError when `body` is not `entry.size` bytes long."""
        name = b"/".join(entry.parts) or b"."
        if entry.kind == DIRECTORY:
            name += b"/"
        pax = {XATTR + key: value for key, value in entry.xattrs}
        seconds, fraction = divmod(entry.mtime, NS)
        if fraction or not 0 <= seconds < 1 << 33:
            pax[b"mtime"] = _seconds(entry.mtime)
            seconds = max(0, min(seconds, (1 << 33) - 1))
        for key, value, limit in (
            (b"path", name, 100),
            (b"linkpath", entry.link, 100),
        ):
            if len(value) > limit:
                pax[key] = value
        for key, number, bits in (
            (b"uid", entry.uid, 21),
            (b"gid", entry.gid, 21),
            (b"size", entry.size, 33),
        ):
            if number >= 1 << bits:
                pax[key] = b"%d" % number
        if pax:
            data = b"".join(_record(key, pax[key]) for key in sorted(pax))
            self._write(_ustar(b"PaxHeaders/" + name[-80:].strip(b"/"), b"x", size=len(data)))
            self._write(data + bytes(-len(data) % BLOCK))
        self._write(
            _ustar(
                name[:100], entry.kind, entry.mode, entry.uid, entry.gid, entry.size, seconds,
                entry.link[:100], entry.device,
            )
        )  # fmt: skip
        written = 0
        for chunk in body:
            written += len(chunk)
            self._write(chunk)
        if written != entry.size:
            raise ValueError(f"{name!r}: {written} bytes where {entry.size} were announced")
        if padding := -written % BLOCK:
            self._write(bytes(padding))

    def close(self) -> None:
        """Write the end marker."""
        self._write(bytes(2 * BLOCK))


def _ustar(
    name: bytes, kind: bytes, mode: int = 0o644, uid: int = 0, gid: int = 0, size: int = 0,
    mtime: int = 0, link: bytes = b"", device: int = 0,
) -> bytes:  # fmt: skip
    header = bytearray(BLOCK)
    header[0 : len(name)] = name
    header[100:108] = b"%07o\0" % mode
    header[108:116] = b"%07o\0" % (uid & 0o7777777)
    header[116:124] = b"%07o\0" % (gid & 0o7777777)
    header[124:136] = b"%011o\0" % (size & 0o77777777777)
    header[136:148] = b"%011o\0" % mtime
    header[156:157] = kind
    header[157 : 157 + len(link)] = link
    header[257:265] = b"ustar\x0000"
    header[329:337] = b"%07o\0" % os.major(device)
    header[337:345] = b"%07o\0" % os.minor(device)
    header[148:156] = b"%06o\0 " % checksum(bytes(header))
    return bytes(header)


def _record(key: bytes, value: bytes) -> bytes:
    body = b" %s=%s\n" % (key, value)
    length = len(body)
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def _seconds(nanoseconds: int) -> bytes:
    sign = b"-" if nanoseconds < 0 else b""
    seconds, fraction = divmod(abs(nanoseconds), NS)
    return sign + b"%d.%09d" % (seconds, fraction)
