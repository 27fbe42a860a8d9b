"""Copies a directory tree into a fresh tmpfs, descriptor by descriptor, following nothing."""

from __future__ import annotations

import os
import stat

_CHUNK = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_up(source: int, target: int) -> None:
    """All that is in the directory `source`, with owners, modes, times and attributes; sockets
    and devices are left out. Either descriptor may be an O_PATH one."""
    reading = os.open(f"/proc/self/fd/{source}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    writing = os.open(f"/proc/self/fd/{target}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _folder(reading, writing)
    finally:
        os.close(reading)
        os.close(writing)


def _folder(reading: int, writing: int) -> None:
    with os.scandir(reading) as entries:
        found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
    for name, status in found:
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFLNK:
            os.symlink(os.readlink(name, dir_fd=reading), name, dir_fd=writing)
            os.chown(name, status.st_uid, status.st_gid, dir_fd=writing, follow_symlinks=False)
        elif kind == stat.S_IFIFO:
            os.mkfifo(name, dir_fd=writing)
            _attributes_at(name, writing, status)
        elif kind in (stat.S_IFDIR, stat.S_IFREG):
            _open_and_copy(name, kind == stat.S_IFDIR, reading, writing)
    _attributes(reading, writing)


def _open_and_copy(name: str, folder: bool, reading: int, writing: int) -> None:
    below = os.open(name, _READ, dir_fd=reading)
    try:
        if folder:
            os.mkdir(name, 0o700, dir_fd=writing)
            copy = os.open(name, _READ, dir_fd=writing)
        else:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            copy = os.open(name, flags, 0o600, dir_fd=writing)
        try:
            if folder:
                _folder(below, copy)
            else:
                while os.sendfile(copy, below, None, _CHUNK):
                    pass
                _attributes(below, copy)
        finally:
            os.close(copy)
    finally:
        os.close(below)


def _attributes(reading: int, writing: int) -> None:
    status = os.fstat(reading)
    os.fchown(writing, status.st_uid, status.st_gid)
    os.fchmod(writing, stat.S_IMODE(status.st_mode))
    for name in os.listxattr(reading):
        # The overlay's own, and what only other filesystems than tmpfs keep, stay behind.
        if name.startswith(("security.capability", "user.")):
            os.setxattr(writing, name, os.getxattr(reading, name))
    os.utime(writing, ns=(status.st_atime_ns, status.st_mtime_ns))


def _attributes_at(name: str, folder: int, status: os.stat_result) -> None:
    os.chown(name, status.st_uid, status.st_gid, dir_fd=folder, follow_symlinks=False)
    os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=folder)
