"""The program that makes containers, out of their reach.

A container's root could reopen the program that made it through /proc/PID/exe and overwrite it on
the machine (CVE-2019-5736). So what makes containers runs from a read-only mount of the
interpreter: whatever way the file is reached through it, writing is EROFS.
"""

import os

from engine.linux.flags import AT, AT_FDCWD, CLONE, MOUNT_ATTR, MOVE_MOUNT, MS, OPEN_TREE
from engine.linux.mount import mount, mount_setattr, move_mount, open_tree
from engine.linux.namespace import unshare


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
    tree = open_tree(AT_FDCWD, interpreter, OPEN_TREE.CLONE)
    mount_setattr(tree, b"", AT.EMPTY_PATH, attr_set=MOUNT_ATTR.RDONLY)
    move_mount(tree, b"", AT_FDCWD, interpreter, MOVE_MOUNT.F_EMPTY_PATH)
    return interpreter
