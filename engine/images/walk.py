"""Going through a directory that strangers made, and telling of what is there as an archive would.

Every directory is opened from the top's descriptor without following a link, so that nothing that
changes meanwhile leads outside. The order is by name: the same tree gives the same archive.
"""

import errno
import os
import stat
from collections.abc import Collection, Iterable, Iterator

from engine.images.errors import ImageError
from engine.images.layers.attributes import NODES, kept_xattrs
from engine.images.layers.view import Found
from engine.images.tar import (
    DIRECTORY,
    FILE,
    HARDLINK,
    SYMLINK,
    Entry,
    Parts,
)
from engine.images.tarwriter import Writer
from engine.linux.flags import RESOLVE
from engine.linux.path import openat2

_CHUNK = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: SYMLINK,
    **{mode: kind for kind, mode in NODES.items()},
}


def walk(
    top: int, *, one_filesystem: bool = True, without: Collection[int] = ()
) -> Iterator[tuple[Parts, Found]]:
    """Everything below an open directory, a directory before what is in it.

    What goes meanwhile is left out, and so are the filesystems whose devices are in `without`. The
    descriptor in a result is good until the next one. Raise ImageError for a tree deeper than a
    path can say.
    """
    resolve = RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS | (RESOLVE.NO_XDEV if one_filesystem else 0)
    pending: list[tuple[Parts, Iterator[bytes]]] = [((), iter(_names(top, (), resolve)))]
    opened, parent = -1, None
    try:
        while pending:
            parts, names = pending[-1]
            name = next(names, None)
            if name is None:
                pending.pop()
                continue
            if parent != parts:
                if opened >= 0:
                    os.close(opened)
                opened, parent = -1, None
                opened = _open(top, parts, resolve)
                if opened < 0:
                    pending.pop()
                    continue
                parent = parts
            try:
                status = os.stat(name, dir_fd=opened, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if status.st_dev in without:
                continue
            yield (*parts, name), Found(opened, name, status)
            if stat.S_ISDIR(status.st_mode):
                below = (*parts, name)
                pending.append((below, iter(_names(top, below, resolve))))
    finally:
        if opened >= 0:
            os.close(opened)


def _names(top: int, parts: Parts, resolve: RESOLVE) -> list[bytes]:
    descriptor = _open(top, parts, resolve)
    if descriptor < 0:
        return []
    try:
        return sorted(map(os.fsencode, os.listdir(descriptor)))
    finally:
        os.close(descriptor)


def _open(top: int, parts: Parts, resolve: RESOLVE) -> int:
    """-1 for a directory that went, or was replaced, meanwhile; or of another filesystem."""
    try:
        return openat2(top, b"/".join(parts) or b".", _DIRECTORY, 0, resolve)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV):
            return -1
        if error.errno == errno.ENAMETOOLONG:
            where = os.fsdecode(b"/".join(parts))
            raise ImageError(f"/{where[:80]}…: deeper than a path can say") from None
        raise


class Packer:
    """Writes what is found as members of an archive; names of one file become hard links.

    `clamp`: no member is younger, in ns.
    """

    def __init__(self, writer: Writer, *, clamp: int | None = None) -> None:
        self._writer = writer
        self._clamp = clamp
        self._linked: dict[tuple[int, int], Parts] = {}
        self.entries = 0

    def add(self, parts: Parts, found: Found) -> None:
        """One file, as it is now. A socket is left out: it is nothing without its process."""
        status = found.status
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return
        entry = Entry(
            parts,
            kind,
            stat.S_IMODE(status.st_mode),
            status.st_uid,
            status.st_gid,
            mtime=status.st_mtime_ns,
            device=status.st_rdev,
        )
        identity = (status.st_dev, status.st_ino)
        if kind != DIRECTORY and status.st_nlink > 1:
            first = self._linked.setdefault(identity, parts)
            if first != parts:
                entry.kind, entry.link = HARDLINK, b"/".join(first)
                self.write(entry)
                return
        try:
            if kind == SYMLINK:
                entry.link = os.readlink(found.name, dir_fd=found.directory)
                self.write(entry)
            elif kind in (FILE, DIRECTORY):
                self._opened(entry, found)
            else:
                self.write(entry)
        except FileNotFoundError:
            self._linked.pop(identity, None)

    def _opened(self, entry: Entry, found: Found) -> None:
        descriptor = os.open(found.name, _READ, dir_fd=found.directory)
        try:
            status = os.fstat(descriptor)
            if not os.path.samestat(status, found.status):
                return  # another file by now
            entry.xattrs = kept_xattrs(descriptor)
            if entry.kind == FILE:
                entry.size = status.st_size
                self.write(entry, _body(descriptor, entry.size))
            else:
                self.write(entry)
        finally:
            os.close(descriptor)

    def write(self, entry: Entry, body: Iterable[bytes] = ()) -> None:
        """A member of one's own making."""
        if self._clamp is not None:
            entry.mtime = min(entry.mtime, self._clamp)
        self._writer.add(entry, body)
        self.entries += 1


def _body(descriptor: int, size: int) -> Iterator[bytes]:
    """Just `size` bytes: of one that grows the first, one that shrinks is filled up with zeros."""
    while size and (chunk := os.read(descriptor, min(size, _CHUNK))):
        size -= len(chunk)
        yield chunk
    while size:
        step = min(size, _CHUNK)
        size -= step
        yield bytes(step)
