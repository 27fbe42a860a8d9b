"""The `dir` driver: a layer unpacked into a directory of its own.

Invariant: no byte of a layer, and no metadata, lands outside the target. Every name is taken apart,
and every operation is made on the last part relative to its directory's descriptor, without
following links. A parent that is a symlink of this layer is resolved by the kernel as if chrooted
in the target (openat2(2), RESOLVE_IN_ROOT). So a link can lead astray only within the layer itself.

Order matters: owner, then mode (chown(2) clears set-id bits), then attributes (it clears file
capabilities), then times; directories last, deepest first, since filling them changes their times.
"""

import errno
import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from engine.images.erase import erase
from engine.images.errors import BadLayer, ImageError
from engine.images.layers.attributes import NODES, below, dress, entry_of, own
from engine.images.layers.base import FS, WHITEOUT_DEVICE, Unpacked, opaque, unprivileged
from engine.images.layers.tree import Tree
from engine.images.layers.view import Found, StackView
from engine.images.tar import (
    DIRECTORY,
    FILE,
    HARDLINK,
    SYMLINK,
    Entry,
    Limits,
    Parts,
    Reader,
)
from engine.linux.path import openat2

_PATH = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_CACHED = 256  # directories kept open: below the usual limit of 1,024 descriptors

# These say nothing about the layer.
_OURS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EROFS,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
}


class DirDriver:
    """Unpacks layers into directories."""

    def write(
        self, chunks: Iterable[bytes], layer: Path, below: Sequence[Path], limits: Limits
    ) -> Unpacked:
        """See LayerDriver.write()."""
        target = layer / FS
        target.mkdir(mode=0o700)
        return unpack(chunks, target, below, limits)


def unpack(
    chunks: Iterable[bytes], target: Path, below: Sequence[Path], limits: Limits
) -> Unpacked:
    """Unpack an archive into an empty folder. Raise as LayerDriver.write() does."""
    with _Unpacking(target, below, limits) as unpacking:
        return unpacking.run(chunks)


class _Unpacking:
    """One layer on its way into one directory. The tree knows what is there, this puts it there."""

    def __init__(self, target: Path, below: Sequence[Path], limits: Limits) -> None:
        self._stack = ExitStack()
        self._view = self._stack.enter_context(StackView(below))
        self._root = os.open(target, _OPEN)
        self._stack.callback(os.close, self._root)
        self._limits = limits
        self._tree = Tree()
        self._open: dict[Parts, int] = {}
        self._stack.callback(self._forget)
        self._entries = self._size = 0

    def __enter__(self) -> "_Unpacking":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, chunks: Iterable[bytes]) -> Unpacked:
        reader = Reader(chunks, self._limits)
        name: Parts = ()
        try:
            for entry in reader:
                self._entries += 1
                self._size += entry.size
                name = entry.parts
                self._add(entry, reader)
            dependent = self._tree.finish(self._inherited)
            self._finish()
        except OSError as error:
            blame = ImageError if error.errno in _OURS else BadLayer
            where = f"entry {self._entries} ({os.fsdecode(b'/'.join(name))!r})"
            raise blame(f"{where}: {error.strerror}") from error
        return Unpacked(self._entries, self._size, dependent, self._tree)

    def _add(self, entry: Entry, reader: Reader) -> None:
        try:
            if entry.kind == HARDLINK:
                self._copy_up(entry.target)
            node = self._tree.add(entry)
        except BadLayer as error:
            raise BadLayer(f"entry {self._entries}: {error}") from None
        if node is None or not entry.parts:
            return  # what is about directories is done last
        if entry.kind == DIRECTORY:
            self._directory(entry)
        elif entry.kind == FILE:
            self._file(entry, reader)
        elif entry.kind == SYMLINK:
            self._symlink(entry)
        elif entry.kind == HARDLINK:
            self._hard_link(entry)
        else:
            self._node(entry)

    # Each kind of entry. A name that is taken is freed and tried once more.

    def _directory(self, entry: Entry) -> None:
        directory, name = self._place(entry.parts)
        try:
            os.mkdir(name, 0o700, dir_fd=directory)
        except FileExistsError:
            # A directory over a directory gives it new metadata and keeps what is in it.
            if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                os.mkdir(name, 0o700, dir_fd=self._free(entry.parts))

    def _file(self, entry: Entry, reader: Reader) -> None:
        directory, name = self._place(entry.parts)
        try:
            descriptor = os.open(name, _CREATE, 0o600, dir_fd=directory)
        except FileExistsError:
            descriptor = os.open(name, _CREATE, 0o600, dir_fd=self._free(entry.parts))
        try:
            if entry.segments is None:
                reader.copy(lambda view: os.write(descriptor, view))
            else:
                for at, length in entry.segments:
                    os.lseek(descriptor, at, os.SEEK_SET)
                    reader.copy(lambda view: os.write(descriptor, view), length)
                os.ftruncate(descriptor, entry.size)
            dress(descriptor, entry)
        finally:
            os.close(descriptor)

    def _symlink(self, entry: Entry) -> None:
        directory, name = self._place(entry.parts)
        try:
            os.symlink(entry.link, name, dir_fd=directory)
        except FileExistsError:
            directory = self._free(entry.parts)
            os.symlink(entry.link, name, dir_fd=directory)
        own(name, entry.uid, entry.gid, directory)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=directory, follow_symlinks=False)

    def _node(self, entry: Entry) -> None:
        directory, name = self._place(entry.parts)
        mode = NODES[entry.kind] | 0o600
        try:
            os.mknod(name, mode, entry.device, dir_fd=directory)
        except FileExistsError:
            directory = self._free(entry.parts)
            os.mknod(name, mode, entry.device, dir_fd=directory)
        except PermissionError:
            if not unprivileged():
                raise
            # There is no making of devices, and a container is shown those it may have.
            return
        own(name, entry.uid, entry.gid, directory)
        # Opening a device may act on it, and chmod(2) has no "nofollow": by the O_PATH descriptor.
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            os.chmod(f"/proc/self/fd/{descriptor}", entry.mode)
        finally:
            os.close(descriptor)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=directory, follow_symlinks=False)

    def _hard_link(self, entry: Entry) -> None:
        for attempt in (1, 2):
            if len(self._open) + 2 > _CACHED:
                self._forget()  # now: the second lookup must not close the first one's
            source, destination = self._directory_of(entry.target), self._directory_of(entry.parts)
            try:
                os.link(
                    entry.target[-1], entry.parts[-1],
                    src_dir_fd=source, dst_dir_fd=destination, follow_symlinks=False,
                )  # fmt: skip
                return
            except FileExistsError:
                if attempt == 2:
                    raise
                self._free(entry.parts)

    def _copy_up(self, target: Parts) -> None:
        """Bring a lower layer's file into this one, to be linked to, as overlayfs would."""
        found = below(self._tree, self._view, target)
        if found is None:
            return  # the tree will say that it is not there
        entry = entry_of(target, found)
        self._size += entry.size
        if self._size > self._limits.total:
            raise BadLayer(f"more than {self._limits.total} bytes of files")
        if entry.kind == FILE:
            self._copy_file(entry, found)
        elif entry.kind == SYMLINK:
            self._symlink(entry)
        elif entry.kind != DIRECTORY:
            self._node(entry)
        self._tree.bring(entry)

    def _copy_file(self, entry: Entry, found: Found) -> None:
        source = os.open(found.name, _READ, dir_fd=found.directory)
        try:
            directory, name = self._place(entry.parts)
            descriptor = os.open(name, _CREATE, 0o600, dir_fd=directory)
            try:
                while os.sendfile(descriptor, source, None, 1 << 24):
                    pass
                dress(descriptor, entry)
            finally:
                os.close(descriptor)
        finally:
            os.close(source)

    # Directories

    def _place(self, parts: Parts) -> tuple[int, bytes]:
        return self._directory_of(parts), parts[-1]

    def _directory_of(self, parts: Parts) -> int:
        """The open directory that `parts` is in; good until the next call."""
        parent = parts[:-1]
        if not parent:
            return self._root
        descriptor = self._open.get(parent)
        if descriptor is not None:
            return descriptor
        if len(self._open) >= _CACHED:
            self._forget()
        known = next((n for n in range(len(parent) - 1, 0, -1) if parent[:n] in self._open), 0)
        above = self._open[parent[:known]] if known else self._root
        for depth in range(known + 1, len(parent) + 1):
            try:
                descriptor = self._enter(above, parent[:depth])
            finally:
                # Only the last one is kept: a name may be deeper than the cache.
                if depth > known + 1:
                    os.close(above)
            above = descriptor
        self._open[parent] = above
        return above

    def _enter(self, above: int, parts: Parts) -> int:
        name = parts[-1]
        for _ in range(2):
            try:
                return os.open(name, _PATH, dir_fd=above)
            except FileNotFoundError:
                pass
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                    raise
                if stat.S_ISLNK(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode):
                    # Within this layer a link is followed, as the kernel would inside the
                    # container.
                    return openat2(self._root, b"/".join(parts), os.O_PATH | os.O_DIRECTORY)
                erase(above, name)
            os.mkdir(name, 0o755, dir_fd=above)
        raise BadLayer(f"entry {self._entries}: {name!r} is not a directory")

    def _open_directory(self, parts: Parts) -> int:
        if not parts:
            return os.open(b".", _OPEN, dir_fd=self._root)
        return os.open(parts[-1], _OPEN, dir_fd=self._directory_of(parts))

    def _free(self, parts: Parts) -> int:
        """Remove what is there under this name; return its open directory."""
        # All of them: one that was reached through a link may be in what goes.
        self._forget()
        directory = self._directory_of(parts)
        erase(directory, parts[-1])
        return directory

    def _forget(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    # The end

    def _finish(self) -> None:
        """Marks, and directories' metadata: deepest first, since filling one changes its times."""
        tree = self._tree
        for node in reversed(list(tree.order())):
            if tree.is_whiteout(node):
                directory, name = self._place(tree.path(node))
                os.mknod(name, stat.S_IFCHR, WHITEOUT_DEVICE, dir_fd=directory)
                os.utime(name, ns=(0, 0), dir_fd=directory, follow_symlinks=False)
            elif node in tree.kids:
                entry = tree.entry(node)
                # A directory that only a mark speaks of is not there yet.
                self._directory_of((*entry.parts, b""))
                descriptor = self._open_directory(entry.parts)
                try:
                    dress(descriptor, entry)
                    if tree.is_opaque(node):
                        os.setxattr(descriptor, opaque(), b"y")
                finally:
                    os.close(descriptor)

    def _inherited(self, parts: Parts) -> Entry | None:
        found = self._view.lookup(parts)
        return None if found is None else entry_of(parts, found)
