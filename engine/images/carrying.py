"""Files carried out of a root that runs, and into it: as tar, without a tar in there.

`root` is a descriptor of the root directory, which is someone else's and may change meanwhile: each
path is resolved as if that were all there is (openat2(2), RESOLVE_IN_ROOT), and no program of the
other side is ever executed (CVE-2019-14271).
"""

import os
import stat
from collections.abc import Callable, Iterable

from engine.images.layers.view import Found
from engine.images.spread import spread
from engine.images.tarwriter import Writer
from engine.images.walk import Packer, walk
from engine.linux.path import openat2

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_KERNELS = (b"proc", b"sys")


def pack(root: int, path: bytes, write: Callable[[bytes], object]) -> int:
    """Write what lies at a path as an archive whose only top is its last name; of a path that ends
    with "/." the directory as the archive's root. Return how many members there are.

    A symlink at the path's end is written as what it is. The kernel's own filesystems are left out.
    Raise OSError naming the path.
    """
    writer = Writer(write)
    packer = Packer(writer)
    above, _, name = path.rstrip(b"/").rpartition(b"/")
    if name in (b"", b".", b".."):
        directory = openat2(root, path or b"/", _DIRECTORY)
        try:
            packer.add((), Found(directory, b".", os.fstat(directory)))
            _below(root, directory, (), packer)
        finally:
            os.close(directory)
    else:
        parent = openat2(root, above or b"/", _DIRECTORY)
        try:
            status = _stat(parent, name, path)
            packer.add((name,), Found(parent, name, status))
            if stat.S_ISDIR(status.st_mode):
                directory = openat2(root, path, _DIRECTORY)
                try:
                    _below(root, directory, (name,), packer)
                finally:
                    os.close(directory)
        finally:
            os.close(parent)
    writer.close()
    return packer.entries


def _stat(parent: int, name: bytes, path: bytes) -> os.stat_result:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def _below(root: int, directory: int, prefix: tuple[bytes, ...], packer: Packer) -> None:
    own = os.fstat(directory).st_dev
    kernels = {device for name in _KERNELS if (device := _device(root, name)) != own}
    for parts, found in walk(directory, one_filesystem=False, without=kernels):
        packer.add((*prefix, *parts), found)


def _device(root: int, name: bytes) -> int:
    try:
        return os.stat(name, dir_fd=root, follow_symlinks=False).st_dev
    except FileNotFoundError:
        return -1


def place(root: int, path: bytes, chunks: Iterable[bytes], *, owner: tuple[int, int] | None) -> int:
    """Make the members of an archive in the directory at a path; where there is none, as that path
    itself, in its parent. Return how many. `owner` is everyone's, None keeps the archive's.

    Raise OSError naming the path, BadLayer for a damaged archive.
    """
    rename = b""
    try:
        target = openat2(root, path, _DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        above, _, rename = path.rpartition(b"/")
        if rename in (b"", b".", b".."):
            raise
        target = openat2(root, above or b"/", _DIRECTORY)
    try:
        return spread(chunks, target, rename=rename, owner=owner, links=True)
    finally:
        os.close(target)
