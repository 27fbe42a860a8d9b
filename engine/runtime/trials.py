"""What only trying can tell about a filesystem; for root. Whatever was made goes with a descriptor.

A mount that is never attached to a path is seen by nobody, and vanishes when it is closed.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

from engine.linux.flags import AT, AT_FDCWD, CLONE, MOUNT_ATTR, OPEN_TREE
from engine.linux.mount import (
    fsconfig_create,
    fsconfig_set_flag,
    fsconfig_set_string,
    fsmount,
    fsopen,
    mount_setattr,
    open_tree,
)
from engine.linux.namespace import unshare


def userxattr() -> bool:
    """Whether overlay can do without trusted.* attributes, which only the machine's root has."""
    try:
        fs = fsopen(b"overlay")
    except OSError:
        return False
    try:
        fsconfig_set_flag(fs, b"userxattr")
    except OSError:
        return False
    finally:
        os.close(fs)
    return True


def erofs_files(folder: Path) -> bool:
    """Whether erofs mounts an image from a file in `folder`, without a loop device (Linux 6.12)."""
    try:
        fs = fsopen(b"erofs")
    except OSError:
        return False
    try:
        with tempfile.NamedTemporaryFile(prefix=".podarium-", dir=folder) as file:
            file.truncate(1 << 16)
            fsconfig_set_string(fs, b"source", os.fsencode(file.name))
            fsconfig_create(fs)
    except OSError as error:
        # An empty file is no image. One that cannot look into files says that it is no device.
        return error.errno in (errno.EINVAL, errno.EUCLEAN)
    finally:
        os.close(fs)
    return True


def upper(folder: Path) -> str:
    """Try an overlay whose read-write layer is in `folder`; the kernel's words, "" when it can."""
    try:
        base = os.fsencode(tempfile.mkdtemp(prefix=".podarium-", dir=folder))
    except OSError as error:
        return error.strerror or str(error)
    try:
        for name in (b"lower", b"upper", b"work"):
            os.mkdir(os.path.join(base, name))
        fs = fsopen(b"overlay")
        try:
            for key in (b"lowerdir", b"upperdir", b"workdir"):
                fsconfig_set_string(fs, key, os.path.join(base, key[:-3]))
            fsconfig_set_flag(fs, b"volatile")
            fsconfig_create(fs)
            os.close(fsmount(fs))
        finally:
            os.close(fs)
    except OSError as error:
        return error.strerror or str(error)
    finally:
        shutil.rmtree(base)
    return ""


def idmapped(folder: Path) -> bool:
    """Whether the filesystem of `folder` can be shown with other owners (ext4, xfs: Linux 5.12)."""
    ready, told = os.pipe2(os.O_CLOEXEC)
    waiting, go_on = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            unshare(CLONE.NEWUSER)
            os.write(told, b"x")
            os.close(go_on)
            os.read(waiting, 1)
        finally:
            os._exit(0)
    os.close(told)
    os.close(waiting)
    try:
        return os.read(ready, 1) == b"x" and _mapped(folder, pid)
    except OSError:
        return False
    finally:
        os.close(go_on)
        os.close(ready)
        os.waitpid(pid, 0)


def _mapped(folder: Path, pid: int) -> bool:
    """With the ids of the user namespace that a process is in."""
    for file in ("uid_map", "gid_map"):
        Path(f"/proc/{pid}/{file}").write_text("0 100000 65536")
    namespace = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        copy = open_tree(AT_FDCWD, os.fsencode(folder), OPEN_TREE.CLONE)
        try:
            attributes = MOUNT_ATTR.IDMAP
            mount_setattr(copy, b"", AT.EMPTY_PATH, attr_set=attributes, userns_fd=namespace)
        finally:
            os.close(copy)
    finally:
        os.close(namespace)
    return True
