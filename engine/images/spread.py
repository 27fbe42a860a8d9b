"""Files of an archive put into a directory, where others may be at work at the same time.

For what was copied out of a container, or is to be copied into one: not for layers, whose names
have other meanings (see layers/dir.py). Every member is made in its directory's descriptor, which
is resolved below the target; with `links` symlinks are followed that stay below it.
"""

import errno
import os
from collections.abc import Iterable

from engine.images.errors import BadLayer
from engine.images.layers.attributes import dress
from engine.images.tar import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry, Parts, Reader
from engine.linux.flags import RESOLVE
from engine.linux.path import openat2

_BENEATH = RESOLVE.BENEATH | RESOLVE.NO_MAGICLINKS
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_REWRITE = os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def spread(
    chunks: Iterable[bytes],
    target: int,
    *,
    rename: bytes = b"",
    owner: tuple[int, int] | None = None,
    chown: bool = True,
    links: bool = False,
) -> int:
    """Make the members of a tar stream in the open directory `target`; return how many.

    `rename` replaces the first part of every name; of an archive that begins with its own root, it
    is that root's name. `owner` is everyone's; without `chown` all is
    the caller's. Raise BadLayer for a damaged or hostile archive, OSError naming the member that
    cannot be made.
    """
    resolve = _BENEATH if links else _BENEATH | RESOLVE.NO_SYMLINKS
    spreading = _Spreading(target, resolve, rename, owner, chown)
    return spreading.run(Reader(chunks))


class _Spreading:
    def __init__(
        self,
        target: int,
        resolve: RESOLVE,
        rename: bytes,
        owner: tuple[int, int] | None,
        chown: bool,
    ) -> None:
        self._target = target
        self._resolve = resolve
        self._rename = rename
        self._prefix = False
        self._owner = owner
        self._chown = chown
        self._directories: list[Entry] = []

    def run(self, reader: Reader) -> int:
        count = 0
        for entry in reader:
            if not entry.parts:
                self._prefix = self._rename != b""
            entry.parts = self._named(entry.parts)
            if not entry.parts:
                continue  # the target itself stays as it is
            try:
                self._add(entry, reader)
            except OSError as error:
                name = os.fsdecode(b"/".join(entry.parts))
                raise OSError(error.errno, error.strerror, name) from None
            count += 1
        for entry in reversed(self._directories):
            descriptor = self._folder(entry.parts)
            try:
                self._dress(descriptor, entry)
            finally:
                os.close(descriptor)
        return count

    def _named(self, parts: Parts) -> Parts:
        if self._prefix:
            return (self._rename, *parts)
        return (self._rename, *parts[1:]) if self._rename and parts else parts

    def _folder(self, parts: Parts) -> int:
        flags = os.O_RDONLY | os.O_DIRECTORY
        return openat2(self._target, b"/".join(parts) or b".", flags, 0, self._resolve)

    def _add(self, entry: Entry, reader: Reader) -> None:
        folder, name = self._folder(entry.parts[:-1]), entry.parts[-1]
        try:
            if entry.kind == DIRECTORY:
                self._directory(folder, name, entry)
            elif entry.kind == FILE and entry.segments is None:
                self._file(folder, name, entry, reader)
            elif entry.kind == SYMLINK:
                _unlink(folder, name)
                os.symlink(entry.link, name, dir_fd=folder)
                self._own(folder, name, entry)
            elif entry.kind == HARDLINK:
                source = self._named(entry.target)
                above = self._folder(source[:-1])
                try:
                    _unlink(folder, name)
                    os.link(
                        source[-1], name, src_dir_fd=above, dst_dir_fd=folder, follow_symlinks=False
                    )
                finally:
                    os.close(above)
            else:
                where = os.fsdecode(b"/".join(entry.parts))
                raise BadLayer(f"{where!r}: devices, pipes and sparse members are not copied")
        finally:
            os.close(folder)

    def _directory(self, folder: int, name: bytes, entry: Entry) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=folder)
        except FileExistsError:
            os.close(self._folder(entry.parts))  # raises when it is something else
        else:
            self._directories.append(entry)

    def _file(self, folder: int, name: bytes, entry: Entry, reader: Reader) -> None:
        try:
            _unlink(folder, name)
            descriptor = os.open(name, _CREATE, 0o600, dir_fd=folder)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            # Something is mounted on it, as on a container's /etc/hosts: written in place.
            descriptor = os.open(name, _REWRITE, dir_fd=folder)
        try:
            reader.copy(lambda view: os.write(descriptor, view))
            self._dress(descriptor, entry)
        finally:
            os.close(descriptor)

    def _dress(self, descriptor: int, entry: Entry) -> None:
        if self._chown:
            entry.uid, entry.gid = self._owner or (entry.uid, entry.gid)
            dress(descriptor, entry)
        else:
            os.fchmod(descriptor, entry.mode & 0o777)
            os.utime(descriptor, ns=(entry.mtime, entry.mtime))

    def _own(self, folder: int, name: bytes, entry: Entry) -> None:
        if self._chown:
            uid, gid = self._owner or (entry.uid, entry.gid)
            os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)


def _unlink(folder: int, name: bytes) -> None:
    """Raise OSError(EBUSY) for what something is mounted on in the tree's own namespace: from ours
    unlink(2) would take that mount away with it (Linux 3.18)."""
    try:
        there = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return
    try:
        if _mount_of(there) != _mount_of(folder):
            raise OSError(errno.EBUSY, "something is mounted there", name)
        os.unlink(name, dir_fd=folder)
    finally:
        os.close(there)


def _mount_of(descriptor: int) -> str:
    """The number of the mount it is in (proc_pid_fdinfo(5))."""
    with open(f"/proc/self/fdinfo/{descriptor}") as lines:
        return next(line for line in lines if line.startswith("mnt_id:"))
