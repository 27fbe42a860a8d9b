"""Mounting: mount(2) and its family, and the file descriptor based calls of Linux 5.2."""

import ctypes
import errno
import os

from engine.linux.call import check, libc, optional, string, syscall
from engine.linux.flags import AT, MNT, MOUNT_ATTR, MOVE_MOUNT, MS, OPEN_TREE

_mount = libc.mount
_mount.argtypes = (
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
)
_umount2 = libc.umount2
_umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)

# <linux/mount.h>
_FSOPEN_CLOEXEC = 1
_FSMOUNT_CLOEXEC = 1
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6


def mount(
    source: bytes | None,
    target: bytes,
    fstype: bytes | None,
    flags: MS | int,
    data: bytes | None = None,
) -> None:
    """mount(2). `data` holds at most a page (4095 bytes): more is EINVAL."""
    result = _mount(optional(source), string(target), optional(fstype), flags, optional(data))
    check(result, target)


def umount2(target: bytes, flags: MNT | int) -> None:
    """umount2(2)."""
    check(_umount2(string(target), flags), target)


def pivot_root(new_root: bytes, put_old: bytes) -> None:
    """pivot_root(2). With both b"." the old root ends up stacked under the new one."""
    syscall("pivot_root", string(new_root), string(put_old), about=new_root)


def open_tree(dirfd: int, path: bytes, flags: OPEN_TREE | AT | int) -> int:
    """open_tree(2): a descriptor of a mount; a detached copy of it with OPEN_TREE.CLONE."""
    return syscall("open_tree", dirfd, string(path), flags | OPEN_TREE.CLOEXEC, about=path)


def move_mount(
    from_dirfd: int,
    from_path: bytes,
    to_dirfd: int,
    to_path: bytes,
    flags: MOVE_MOUNT | int = MOVE_MOUNT.F_EMPTY_PATH,
) -> None:
    """move_mount(2). With b"" as from_path it attaches `from_dirfd`, a detached mount."""
    syscall(
        "move_mount",
        from_dirfd,
        string(from_path),
        to_dirfd,
        string(to_path),
        flags,
        about=to_path or from_path,
    )


class _MountAttr(ctypes.Structure):
    _fields_ = [
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    ]


def mount_setattr(
    dirfd: int,
    path: bytes,
    flags: AT | int,
    *,
    attr_set: MOUNT_ATTR | int = 0,
    attr_clr: MOUNT_ATTR | int = 0,
    propagation: MS | int = 0,
    userns_fd: int = 0,
) -> None:
    """mount_setattr(2), Linux 5.12. AT.RECURSIVE changes the whole tree or, on error, nothing."""
    attr = _MountAttr(attr_set, attr_clr, propagation, userns_fd)
    syscall(
        "mount_setattr",
        dirfd,
        string(path),
        flags,
        ctypes.byref(attr),
        ctypes.sizeof(attr),
        about=path or f"mount descriptor {dirfd}",
    )


def fsopen(fstype: bytes) -> int:
    """fsopen(2), Linux 5.2: a filesystem being configured."""
    return syscall("fsopen", string(fstype), _FSOPEN_CLOEXEC, about=fstype)


def fsconfig_set_string(fd: int, key: bytes, value: bytes) -> None:
    """fsconfig(2), FSCONFIG_SET_STRING. A value holds at most 255 bytes."""
    _fsconfig(fd, _FSCONFIG_SET_STRING, string(key), string(value), key + b"=" + value)


def fsconfig_set_flag(fd: int, key: bytes) -> None:
    """fsconfig(2), FSCONFIG_SET_FLAG."""
    _fsconfig(fd, _FSCONFIG_SET_FLAG, string(key), None, key)


def fsconfig_create(fd: int) -> None:
    """fsconfig(2), FSCONFIG_CMD_CREATE."""
    _fsconfig(fd, _FSCONFIG_CMD_CREATE, None, None, b"fsconfig create")


def _fsconfig(fd: int, command: int, key: bytes | None, value: bytes | None, about: bytes) -> None:
    """The text of an error is what the filesystem itself said, if it said anything."""
    try:
        syscall("fsconfig", fd, command, key, value, 0, about=about)
    except OSError as error:
        said = b"; ".join(_messages(fd)).decode(errors="replace")
        raise OSError(error.errno, said or error.strerror, about) from None


def _messages(fd: int) -> list[bytes]:
    """What a filesystem being configured has to say: each read(2) gives one "e overlay: text"."""
    messages = []
    while True:
        try:
            messages.append(os.read(fd, 8192).strip())
        except OSError as error:
            if error.errno != errno.ENODATA:
                raise
            return messages


def fsmount(fd: int, attributes: MOUNT_ATTR | int = 0) -> int:
    """fsmount(2): the descriptor of a detached mount, which vanishes with it unless moved."""
    return syscall("fsmount", fd, _FSMOUNT_CLOEXEC, attributes, about="fsmount")
