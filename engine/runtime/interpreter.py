"""The program that makes containers, out of their reach.

A container's root could reopen the program that made it through /proc/PID/exe and overwrite it on
the machine (CVE-2019-5736). So what makes containers runs from a read-only mount of the
interpreter: whatever way the file is reached through it, writing is EROFS.
"""

from __future__ import annotations

import os

from engine.linux.flags import AT, AT_FDCWD, CLONE, MNT, MOUNT_ATTR, MOVE_MOUNT, MS, OPEN_TREE
from engine.linux.mount import mount, mount_setattr, move_mount, open_tree, umount2
from engine.linux.namespace import unshare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def sealed() -> bool:
    """Whether the mount that this process was executed from is read-only."""
    return bool(os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY)


def seal() -> bytes:
    """Enter a mount namespace in which the interpreter is a read-only mount, to be executed now.

    Its path, which is what it was: by another, an interpreter would not find its libraries.
    """
    unshare(CLONE.NEWNS)
    # Slave, not private: a volume mounted later on the machine is seen, one unmounted is let go.
    mount(None, b"/", None, MS.REC | MS.SLAVE)
    interpreter = os.fsencode(os.path.realpath("/proc/self/exe"))
    _cover(interpreter)
    return interpreter


def seal_again(interpreter: bytes) -> Callable[[], None]:
    """Make any interpreter a read-only mount, if it is not, in the namespace of seal(); gives what
    undoes it. One whose file the machine has replaced has lost its mount with the old file."""
    if os.statvfs(interpreter).f_flag & os.ST_RDONLY:
        return lambda: None
    _cover(interpreter)
    return lambda: umount2(interpreter, MNT.DETACH)


def _cover(interpreter: bytes) -> None:
    tree = open_tree(AT_FDCWD, interpreter, OPEN_TREE.CLONE)
    try:
        mount_setattr(tree, b"", AT.EMPTY_PATH, attr_set=MOUNT_ATTR.RDONLY)
        move_mount(tree, b"", AT_FDCWD, interpreter, MOVE_MOUNT.F_EMPTY_PATH)
    finally:
        os.close(tree)
