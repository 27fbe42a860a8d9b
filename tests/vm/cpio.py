"""An initramfs: the "newc" form of cpio(5), as early-userspace/buffer-format.rst tells it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from engine.images.host import Host

_MAGIC = "070701"


class Initramfs:
    """Files of this machine at their own paths, with all the links on the way; and made-up ones.

    Times are kept, so that Python's bytecode caches are still those of their sources.
    """

    def __init__(self) -> None:
        self.host = Host()
        self._copied: set[str] = set()
        self._made: dict[str, tuple[int, bytes]] = {}

    def copy(self, path: str | Path) -> None:
        """A file, a link with what it leads to, or a bare directory. Nothing when it is missing."""
        steps, end = self.host.trail(str(path))
        if end is not None:
            self._copied.update(steps)

    def copy_tree(self, folder: str | Path, wanted: Callable[[str], bool]) -> None:
        """A directory with everything in it, but for the names that are not `wanted`."""
        self.copy(folder)
        for where, folders, files in os.walk(folder):
            folders[:] = filter(wanted, folders)
            for name in (*folders, *filter(wanted, files)):
                self.copy(f"{where}/{name}")

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        self._made[path] = (stat.S_IFREG | mode, data)

    def folder(self, path: str, mode: int = 0o755) -> None:
        self._made[path] = (stat.S_IFDIR | mode, b"")

    def write(self, write: Callable[[bytes], object]) -> None:
        """Parents before children, as the kernel unpacks it in order."""
        for number, path in enumerate(sorted(self._copied | self._made.keys()), 1):
            if path in self._made:
                mode, data = self._made[path]
                _entry(write, number, path, mode, 0, data)
                continue
            status = os.lstat(path)
            data = b""
            if stat.S_ISREG(status.st_mode):
                data = Path(path).read_bytes()
            elif stat.S_ISLNK(status.st_mode):
                data = os.fsencode(os.readlink(path))
            _entry(write, number, path, status.st_mode, int(status.st_mtime), data)
        _entry(write, 0, "/TRAILER!!!", 0, 0, b"")


def _entry(
    write: Callable[[bytes], object], number: int, path: str, mode: int, time: int, data: bytes
) -> None:
    name = os.fsencode(path).lstrip(b"/") + b"\0"
    # inode, mode, uid, gid, links, time, size, device and its own number (major, minor), name, sum
    fields = (number, mode, 0, 0, 1, time, len(data), 0, 0, 0, 0, len(name), 0)
    head = (_MAGIC + "".join(f"{field:08x}" for field in fields)).encode() + name
    write(head + bytes(-len(head) % 4))
    write(data + bytes(-len(data) % 4))
