"""Removing a tree that strangers made.

A container or an image can make a tree so deep that recursion, or an open descriptor for each
level, runs out. So no level is ever entered from another: every directory found is first moved up
to the tree's top and emptied there, and all names are resolved from two descriptors, never through
a path or a symlink.
"""

import errno
import os
import secrets

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def erase(directory: int, name: bytes) -> None:
    """Remove `name` in the open `directory` and all it holds; it may be missing."""
    try:
        os.unlink(name, dir_fd=directory)
        return
    except FileNotFoundError:
        return
    except OSError as error:
        # EISDIR is Linux's answer for a directory, EPERM is POSIX's.
        if error.errno not in (errno.EISDIR, errno.EPERM):
            raise
    top = os.open(name, _DIRECTORY, dir_fd=directory)
    try:
        _empty(top)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=directory)


def erase_path(path: bytes) -> None:
    """erase() by a path, whose parent's path the caller trusts."""
    parent, _, name = path.rstrip(b"/").rpartition(b"/")
    try:
        directory = os.open(parent or b"/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        erase(directory, name)
    finally:
        os.close(directory)


def _empty(top: int) -> None:
    prefix = b".erase-" + secrets.token_hex(8).encode() + b"-"
    moved = 0
    pending: list[bytes] = []
    for name, is_directory in _entries(top):
        if is_directory:
            pending.append(name)
        else:
            os.unlink(name, dir_fd=top)
    while pending:
        name = pending.pop()
        descriptor = os.open(name, _DIRECTORY, dir_fd=top)
        try:
            for child, is_directory in _entries(descriptor):
                if is_directory:
                    raised = prefix + str(moved).encode()
                    moved += 1
                    os.rename(child, raised, src_dir_fd=descriptor, dst_dir_fd=top)
                    pending.append(raised)
                else:
                    os.unlink(child, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        os.rmdir(name, dir_fd=top)


def _entries(descriptor: int) -> list[tuple[bytes, bool]]:
    with os.scandir(descriptor) as entries:
        return [(os.fsencode(e.name), e.is_dir(follow_symlinks=False)) for e in entries]
