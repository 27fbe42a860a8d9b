"""Archives that ADD unpacks: tar, as it is or compressed with gzip, zstd, bzip2 or xz."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from engine.images import stream
from engine.images.containerfile.tree import Source, Tree
from engine.images.errors import BadLayer
from engine.images.layers import dir as unpacking
from engine.images.tar import Limits, Reader

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


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
    unpacking.unpack(_plain(tree, source), folder, [], Limits())


def _plain(tree: Tree, source: Source) -> Iterator[bytes]:
    found = tree.view.lookup(source.real)
    if found is None:
        raise BadLayer("is gone")
    descriptor = os.open(found.name, _READ, dir_fd=found.directory)
    try:
        yield from stream.inflated(stream.read(descriptor), "the archive")
    finally:
        os.close(descriptor)
