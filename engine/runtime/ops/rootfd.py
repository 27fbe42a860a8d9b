"""Paths inside a container's root, held as descriptors.

An image or a volume is someone else's: its symlinks may point anywhere, and may change while we
look (CVE-2025-31133, CVE-2025-52565, CVE-2025-52881 were runc trusting a path twice). So a path is
resolved once, below the root, into a descriptor, and everything happens to the descriptor.
"""

from __future__ import annotations

import errno
import os
import stat

from engine.linux.flags import AT, AT_FDCWD, MOUNT_ATTR, MOVE_MOUNT, OPEN_TREE, RESOLVE
from engine.linux.mount import (
    fsconfig_create,
    fsconfig_set_flag,
    fsconfig_set_string,
    fsmount,
    fsopen,
    mount_setattr,
    move_mount,
    open_tree,
)
from engine.linux.path import openat2

_IN_ROOT = RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS
NO_LINKS = _IN_ROOT | RESOLVE.NO_SYMLINKS
"""How openat2(2) resolves below a root, without following any link."""
_NULL = os.makedev(1, 3)


def find(root: int, path: bytes, *, symlinks: bool = True) -> int:
    """An O_PATH descriptor of what is at `path`; without `symlinks` one on the way is ELOOP."""
    resolve = _IN_ROOT if symlinks else NO_LINKS
    return openat2(root, path, os.O_PATH, resolve=resolve)


def directory(root: int, path: bytes, *, symlinks: bool = True) -> int:
    """The same for a directory, made (0755, with its parents) where missing."""
    resolve = _IN_ROOT if symlinks else NO_LINKS
    flags = os.O_PATH | os.O_DIRECTORY
    try:
        return openat2(root, path, flags, resolve=resolve)
    except FileNotFoundError:
        pass
    parent, name = os.path.split(path.rstrip(b"/"))
    above = directory(root, parent or b"/", symlinks=symlinks)
    try:
        _make(os.mkdir, name, 0o755, above, path)
        return openat2(root, path, flags, resolve=resolve)
    finally:
        os.close(above)


def file(root: int, path: bytes, *, symlinks: bool = True) -> int:
    """The same for a file: an empty one (0644) is made where there is nothing."""
    try:
        return find(root, path, symlinks=symlinks)
    except FileNotFoundError:
        pass
    parent, name = os.path.split(path)
    above = directory(root, parent or b"/", symlinks=symlinks)
    try:
        _make(os.mknod, name, stat.S_IFREG | 0o644, above, path)
        return find(root, path, symlinks=symlinks)
    finally:
        os.close(above)


def _make(make: object, name: bytes, mode: int, above: int, path: bytes) -> None:
    try:
        make(name, mode, dir_fd=above)  # type: ignore[operator]
    except FileExistsError:
        text = "is a symlink to nothing: the image must make its target or leave the link out"
        raise OSError(errno.ENOENT, text, path) from None
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


# With O_NONBLOCK, for a FIFO that a container's root may have put in its place: an exec would wait
# there for ever.
READ = os.O_RDONLY | os.O_NONBLOCK


def null(root: int, flags: int = os.O_PATH) -> int:
    """The container's /dev/null, opened once and then proven to be the device (CVE-2025-31133)."""
    fd = openat2(root, b"/dev/null", flags, resolve=NO_LINKS)
    found = os.fstat(fd)
    if not stat.S_ISCHR(found.st_mode) or found.st_rdev != _NULL:
        os.close(fd)
        raise OSError(errno.ENODEV, "is not the null device (character device 1:3)", b"/dev/null")
    return fd


def check_target(root: int, target: int, path: bytes) -> None:
    """What a symlink of an image may not make a mount cover: the root itself, whose cover would be
    unmounted when the machine's tree is let go of; and /proc."""
    if os.path.samestat(os.fstat(target), os.fstat(root)):
        raise OSError(errno.EPERM, "leads to the root, where nothing may be mounted", path)
    refuse_proc(root, target, path)


def refuse_proc(root: int, target: int, path: bytes) -> None:
    """Nothing is mounted over the kernel's own answers, by whatever symlink of an image."""
    try:
        proc = os.stat(b"proc", dir_fd=root, follow_symlinks=False)
    except FileNotFoundError:
        return
    if proc.st_dev == os.fstat(root).st_dev:
        return
    # By its path: a file that is masked there belongs to another filesystem.
    inside = _path(target).removeprefix(_path(root)) + b"/"
    if inside.startswith(b"/proc/"):
        raise OSError(errno.EPERM, "leads into /proc, where nothing may be mounted", path)


def _path(fd: int) -> bytes:
    return os.readlink(b"/proc/self/fd/%d" % fd)


def new_mount(fstype: bytes, attributes: int, data: tuple[tuple[bytes, bytes], ...]) -> int:
    """A detached mount of a new filesystem; `data` are its options, with b"" for a bare flag."""
    fs = fsopen(fstype)
    try:
        for key, value in data:
            if value:
                fsconfig_set_string(fs, key, value)
            else:
                fsconfig_set_flag(fs, key)
        fsconfig_create(fs)
        return fsmount(fs, attributes)
    finally:
        os.close(fs)


def copy_of(path: bytes, below: bytes, *, recursive: bool) -> int:
    """A detached copy of the mount at a path of the machine: what a bind mount attaches.

    `below`: of what lies there, resolved as if that were the root.
    """
    flags = OPEN_TREE.CLONE | (AT.RECURSIVE if recursive else 0)
    if not below:
        return open_tree(AT_FDCWD, path, flags)
    base = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        inside = find(base, below)
    finally:
        os.close(base)
    try:
        return open_tree(inside, b"", flags | AT.EMPTY_PATH)
    finally:
        os.close(inside)


def copy_of_fd(fd: int) -> int:
    """The same for what a descriptor holds, with all that is mounted below."""
    return open_tree(fd, b"", OPEN_TREE.CLONE | AT.EMPTY_PATH | AT.RECURSIVE)


def restrict(mount: int, attributes: MOUNT_ATTR | int) -> None:
    """Set attributes on a mount and all below it, or on none."""
    mount_setattr(mount, b"", AT.EMPTY_PATH | AT.RECURSIVE, attr_set=attributes)


def attach(mount: int, target: int) -> None:
    """Put a detached mount on what `target` holds, and close both."""
    try:
        move_mount(mount, b"", target, b"", MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.T_EMPTY_PATH)
    finally:
        os.close(mount)
        os.close(target)
