"""Where a keeper's process begins: it leaves the engine, takes namespaces of its own, seals its
interpreter, and executes itself again behind that seal.

    python -I -S seal.py PACKAGE-ROOT SERVE.PY ARGUMENTS...

A container's root could reopen the program that made it through /proc/PID/exe and overwrite it on
the machine (CVE-2019-5736). So the keeper runs from a read-only mount of the interpreter, which
exists in its mount namespace alone: whatever way the file is reached through it, writing is EROFS.
"""

import os
import sys


def main() -> None:
    root, serve, *arguments = sys.argv[1:]
    # The parent ends at once: the keeper is no child of the engine, which may come and go.
    if os.fork():
        os._exit(0)
    os.setsid()
    sys.path.insert(0, root)

    from engine.linux.flags import AT, AT_FDCWD, CLONE, MOUNT_ATTR, MOVE_MOUNT, MS, OPEN_TREE
    from engine.linux.mount import mount, mount_setattr, move_mount, open_tree
    from engine.linux.namespace import unshare

    unshare(CLONE.NEWNS | CLONE.NEWNET)
    # Slave, not private: a volume mounted later on the machine is seen, one unmounted is let go.
    mount(None, b"/", None, MS.REC | MS.SLAVE)
    interpreter = os.fsencode(os.path.realpath("/proc/self/exe"))
    seal = open_tree(AT_FDCWD, interpreter, OPEN_TREE.CLONE)
    mount_setattr(seal, b"", AT.EMPTY_PATH, attr_set=MOUNT_ATTR.RDONLY)
    move_mount(seal, b"", AT_FDCWD, interpreter, MOVE_MOUNT.F_EMPTY_PATH)
    os.execv(interpreter, [os.fsdecode(interpreter), "-I", "-S", serve, root, *arguments])


if __name__ == "__main__":
    main()
