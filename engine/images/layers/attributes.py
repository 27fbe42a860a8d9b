"""What an archive says about a file, put on a file, and read back from one."""

import errno
import os
import stat

from engine.images.layers.tree import Tree
from engine.images.layers.view import Found, StackView
from engine.images.tar import BLOCK_DEVICE, CHAR, DIRECTORY, FIFO, FILE, SYMLINK, Entry, Parts

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# What a layer may say about its files. Not trusted.overlay.* or user.overlay.* (they would steer
# the mount), not security.selinux (the host's own labels).
KEPT = (b"user.", b"security.capability", _ACL := b"system.posix_acl_")
_STEERS = b"user.overlay."
NODES = {CHAR: stat.S_IFCHR, BLOCK_DEVICE: stat.S_IFBLK, FIFO: stat.S_IFIFO}


def below(tree: Tree, view: StackView, target: Parts) -> Found | None:
    """A file of the lower layers that a hard link names: None when this layer has or hides it."""
    if not target or tree.find(target) is not None or tree.hides(target):
        return None
    return view.lookup(target)


def entry_of(parts: Parts, found: Found) -> Entry:
    """A file of a lower layer, as an archive would have it."""
    status = found.status
    size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    kinds = {stat.S_IFREG: FILE, stat.S_IFDIR: DIRECTORY, stat.S_IFLNK: SYMLINK}
    kinds |= {mode: kind for kind, mode in NODES.items()}
    entry = Entry(
        parts, kinds[stat.S_IFMT(status.st_mode)], stat.S_IMODE(status.st_mode), status.st_uid,
        status.st_gid, size, status.st_mtime_ns, device=status.st_rdev,
    )  # fmt: skip
    if entry.kind == SYMLINK:
        entry.link = os.readlink(found.name, dir_fd=found.directory)
    if entry.kind in (DIRECTORY, FILE):
        flags = _DIRECTORY if entry.kind == DIRECTORY else _FILE
        descriptor = os.open(found.name, flags, dir_fd=found.directory)
        try:
            entry.xattrs = kept_xattrs(descriptor)
        finally:
            os.close(descriptor)
    return entry


def kept_xattrs(descriptor: int) -> tuple[tuple[bytes, bytes], ...]:
    names = [os.fsencode(name) for name in os.listxattr(descriptor)]
    return tuple((name, os.getxattr(descriptor, name)) for name in names if is_kept(name))


def is_kept(name: bytes) -> bool:
    return name.startswith(KEPT) and not name.startswith(_STEERS)


def own(path: int | bytes, uid: int, gid: int, directory: int | None = None) -> None:
    """Give a file, by descriptor or by its name in a directory, its owners. In a user namespace
    those that there are: a file of others stays our own."""
    links = directory is None
    try:
        os.chown(path, uid, gid, dir_fd=directory, follow_symlinks=links)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        for owners in ((uid, -1), (-1, gid)):
            try:
                os.chown(path, *owners, dir_fd=directory, follow_symlinks=links)
            except OSError as unmapped:
                if unmapped.errno != errno.EINVAL:
                    raise


def dress(descriptor: int, entry: Entry) -> None:
    own(descriptor, entry.uid, entry.gid)
    os.fchmod(descriptor, entry.mode)
    for name, value in entry.xattrs:
        if is_kept(name):
            try:
                os.setxattr(descriptor, name, value)
            except OSError as error:
                # Rights of users that there are not here: nobody's rights.
                if error.errno != errno.EINVAL or not name.startswith(_ACL):
                    raise
    os.utime(descriptor, ns=(entry.mtime, entry.mtime))
