"""ldconfig(8)'s cache: where libraries are that lie in no default folder.

Its entries are sorted by a rule of glibc's; leaving some out keeps the order. So an image's cache
is the host's, cut down to what is in the image, and is never sorted here.

Source: glibc's sysdeps/generic/dl-cache.h, the format of glibc 2.2 and newer.
"""

import struct
from collections.abc import Callable, Iterator

_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("=20sIIB3xI12x")  # magic, count, bytes of texts, flags, extensions
_ENTRY = struct.Struct("=iIIIQ")  # flags, name, path, OS version, hardware capabilities
_LITTLE_ENDIAN = 2


def read_cache(data: bytes) -> dict[str, list[str]]:
    """Names and where each is, the preferred place first; {} when it is damaged or of old times."""
    found: dict[str, list[str]] = {}
    try:
        for _, name, path in _entries(data):
            found.setdefault(_shown(name), []).append(_shown(path))
    except (struct.error, ValueError):
        return {}
    return found


def kept_cache(data: bytes, keep: Callable[[str], bool]) -> bytes | None:
    """The cache with only those paths that are to be kept; None when there are none."""
    try:
        kept = [each for each in _entries(data) if keep(_shown(each[2]))]
    except (struct.error, ValueError):
        return None
    if not kept:
        return None
    at, texts, entries = _HEADER.size + len(kept) * _ENTRY.size, b"", b""
    for (flags, version, capabilities), name, path in kept:
        places = []
        for text in (name, path):
            places.append(at + len(texts))
            texts += text + b"\0"
        entries += _ENTRY.pack(flags, *places, version, capabilities)
    return _HEADER.pack(_MAGIC, len(kept), len(texts), _LITTLE_ENDIAN, 0) + entries + texts


def _entries(data: bytes) -> Iterator[tuple[tuple[int, int, int], bytes, bytes]]:
    base = data.find(_MAGIC)
    if base < 0:
        return
    count = _HEADER.unpack_from(data, base)[1]
    for n in range(count):
        at = base + _HEADER.size + n * _ENTRY.size
        flags, name, path, version, capabilities = _ENTRY.unpack_from(data, at)
        yield (flags, version, capabilities), _text(data, base + name), _text(data, base + path)


def _text(data: bytes, at: int) -> bytes:
    return data[at : data.index(b"\0", at)]


def _shown(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")
