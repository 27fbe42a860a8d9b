"""What a layer's index says, beside what is really there."""

import os
import stat
from pathlib import Path
from typing import Any

from engine.images.layers.base import opaque as opaque_mark
from engine.images.layers.index import NAME, LayerIndex
from engine.images.layers.tree import Flag
from engine.images.tar import (
    BLOCK_DEVICE,
    CHAR,
    DIRECTORY,
    FIFO,
    FILE,
    HARDLINK,
    SYMLINK,
)

_KINDS = {
    FILE: stat.S_IFREG, HARDLINK: stat.S_IFREG, SYMLINK: stat.S_IFLNK, CHAR: stat.S_IFCHR,
    BLOCK_DEVICE: stat.S_IFBLK, DIRECTORY: stat.S_IFDIR, FIFO: stat.S_IFIFO,
}  # fmt: skip


def indexed(path: Path) -> dict[bytes, list[Any]]:
    """By an index: each name's kind, mode, owner, time, size, link, device, opaque or not."""
    found: dict[bytes, list[Any]] = {}
    with LayerIndex.open(path) as index:
        entries = dict(index.walk())
        assert list(entries.values()) == list(index)
        for parts, entry in entries.items():
            assert index.lookup(parts) == entry == index[entry.number]
            assert index.path(entry) == parts
            below = [each for name, each in entries.items() if name and name[:-1] == parts]
            assert list(index.children(entry)) == below == sorted(below, key=lambda e: e.name)
            file = entry
            if entry.kind == HARDLINK:
                file = entries[tuple(entry.link.split(b"/"))]
                assert (entry.size, entry.offset) == (file.size, file.offset)
            mode = 0o777 if file.kind == SYMLINK else file.mode
            found[b"/".join(parts) or b"."] = [
                _KINDS[file.kind] | mode, file.uid, file.gid, file.mtime if parts else 0,
                file.size if file.kind == FILE else 0,
                file.link if file.kind == SYMLINK else b"", file.device,
                bool(entry.flags & Flag.OPAQUE),
            ]  # fmt: skip
    return found


def there(folder: Path) -> dict[bytes, list[Any]]:
    """The same of a folder, which is a layer that was made ready."""
    found = {}
    root = os.fsencode(folder)
    for at, folders, files in os.walk(root):
        for path in [at, *(os.path.join(at, name) for name in folders + files)]:
            status = os.lstat(path)
            mode = status.st_mode
            if stat.S_ISCHR(mode) and not status.st_rdev:
                mode = stat.S_IFCHR
            opaque = stat.S_ISDIR(mode) and opaque_mark() in map(os.fsencode, os.listxattr(path))
            special = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
            found[os.path.relpath(path, root)] = [
                mode, status.st_uid, status.st_gid,
                0 if path == root else status.st_mtime_ns,
                status.st_size if stat.S_ISREG(mode) else 0,
                os.readlink(path) if stat.S_ISLNK(mode) else b"",
                status.st_rdev if special else 0, opaque,
            ]  # fmt: skip
    return found


def agree(lowerdir: Path) -> None:
    """Fail when a ready layer is not what its index says."""
    assert indexed(lowerdir.parent / NAME) == there(lowerdir)
