"""Archives that ADD unpacks: tar, as it is or compressed with gzip, zstd, bzip2 or xz."""

import bz2
import lzma
import os
import stat
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from engine.images import stream
from engine.images.containerfile.tree import Source, Tree
from engine.images.errors import BadLayer
from engine.images.layers.dir import DirDriver
from engine.images.tar import Limits, Reader

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_BZIP2, _XZ = b"BZh", b"\xfd7zXZ\x00"


def is_archive(tree: Tree, source: Source) -> bool:
    """Whether the file's first member can be read."""
    found = tree.view.lookup(source.real)
    if found is None or not stat.S_ISREG(found.status.st_mode) or not found.status.st_size:
        return False
    try:
        return next(iter(Reader(_plain(tree, source))), None) is not None
    except BadLayer:
        return False


def unpack(tree: Tree, source: Source, folder: Path) -> None:
    """Unpack it into an empty folder, with its owners and devices. Raise BadLayer."""
    DirDriver().write(_plain(tree, source), folder, [], Limits())


def _plain(tree: Tree, source: Source) -> Iterator[bytes]:
    found = tree.view.lookup(source.real)
    if found is None:
        raise BadLayer("is gone")
    descriptor = os.open(found.name, _READ, dir_fd=found.directory)
    try:
        chunks = stream.read(descriptor)
        head = next(chunks, b"")
        if head.startswith(_BZIP2):
            yield from _decompressed(chain((head,), chunks), bz2.BZ2Decompressor)
        elif head.startswith(_XZ):
            yield from _decompressed(chain((head,), chunks), lzma.LZMADecompressor)
        else:
            yield from stream.inflated(chain((head,), chunks), "the archive")
    finally:
        os.close(descriptor)


def _decompressed(chunks: Iterator[bytes], new: Any) -> Iterator[bytes]:
    """Every stream of a file, in bounded pieces however far it expands."""
    one: Any = None
    try:
        for chunk in chunks:
            while chunk or (one is not None and not one.needs_input and not one.eof):
                one = one or new()
                yield one.decompress(chunk, stream.CHUNK)
                chunk = b""
                if one.eof:
                    chunk, one = one.unused_data, None
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise BadLayer(f"damaged: {error}") from None
    if one is not None:
        raise BadLayer("is cut short")
