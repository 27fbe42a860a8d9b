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
from engine.images.layers.attributes import NODES, dress, entry_of, kept_xattrs
from engine.images.layers.base import OPAQUE, WHITEOUT_DEVICE, Unpacked
from engine.images.layers.view import Found, StackView
from engine.images.tar import (
    CHAR,
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
_CACHED = 256  # directories kept open: below the usual limit of 1,024 descriptors

_WHITEOUT = b".wh."
_OPAQUE_MARK = b".wh..wh..opq"
_AUFS = b".wh..wh."
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
        self, chunks: Iterable[bytes], target: Path, below: Sequence[Path], limits: Limits
    ) -> Unpacked:
        """See LayerDriver.write()."""
        with _Unpacking(target, below, limits) as unpacking:
            return unpacking.run(chunks)


class _Unpacking:
    """One layer on its way into one directory."""

    def __init__(self, target: Path, below: Sequence[Path], limits: Limits) -> None:
        self._stack = ExitStack()
        self._view = self._stack.enter_context(StackView(below))
        self._root = os.open(target, _OPEN)
        self._stack.callback(os.close, self._root)
        self._limits = limits
        self._open: dict[Parts, int] = {}
        self._stack.callback(self._forget)
        self._made: set[Parts] = set()  # this layer's own entries
        self._directories: dict[Parts, Entry] = {}
        self._implicit: set[Parts] = set()  # directories the archive uses but does not have
        self._whiteouts: set[Parts] = set()
        self._opaque: set[Parts] = set()
        self._entries = self._size = 0
        self._dependent = False

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
            self._hide()
            self._finish_directories()
        except OSError as error:
            blame = ImageError if error.errno in _OURS else BadLayer
            where = f"entry {self._entries} ({os.fsdecode(b'/'.join(name))!r})"
            raise blame(f"{where}: {error.strerror}") from error
        return Unpacked(self._entries, self._size, self._dependent, () in self._opaque)

    def _add(self, entry: Entry, reader: Reader) -> None:
        parts = entry.parts
        if not parts:
            # Taking "/" for anything else re-roots the whole layer: CVE-2021-29136.
            if entry.kind != DIRECTORY:
                raise BadLayer(f"entry {self._entries}: the root is not a directory")
            self._directories[()] = entry
        elif any(part.startswith(_WHITEOUT) for part in parts):
            self._mark(parts)
        else:
            if entry.kind == DIRECTORY:
                self._directory(entry)
            elif entry.kind == FILE:
                self._file(entry, reader)
            elif entry.kind == SYMLINK:
                self._symlink(entry)
            elif entry.kind == HARDLINK:
                self._hard_link(entry, reader.link_parts(entry))
            else:
                self._node(entry)
            self._made.add(parts)

    # Each kind of entry. A name that is taken is freed and tried once more.

    def _directory(self, entry: Entry) -> None:
        directory, name = self._place(entry.parts)
        try:
            os.mkdir(name, 0o700, dir_fd=directory)
        except FileExistsError:
            # A directory over a directory gives it new metadata and keeps what is in it.
            if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                directory = self._free(entry.parts)
                os.mkdir(name, 0o700, dir_fd=directory)
        self._implicit.discard(entry.parts)
        self._directories[entry.parts] = entry

    def _file(self, entry: Entry, reader: Reader) -> None:
        directory, name = self._place(entry.parts)
        try:
            descriptor = os.open(name, _CREATE, 0o600, dir_fd=directory)
        except FileExistsError:
            descriptor = os.open(name, _CREATE, 0o600, dir_fd=self._free(entry.parts))
        try:
            reader.copy(lambda view: os.write(descriptor, view))
            dress(descriptor, entry)
        finally:
            os.close(descriptor)

    def _symlink(self, entry: Entry) -> None:
        if not entry.link or b"\0" in entry.link:
            raise BadLayer(f"entry {self._entries}: symlink without a target")
        directory, name = self._place(entry.parts)
        try:
            os.symlink(entry.link, name, dir_fd=directory)
        except FileExistsError:
            directory = self._free(entry.parts)
            os.symlink(entry.link, name, dir_fd=directory)
        os.chown(name, entry.uid, entry.gid, dir_fd=directory, follow_symlinks=False)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=directory, follow_symlinks=False)

    def _node(self, entry: Entry) -> None:
        if entry.kind == CHAR and entry.device == WHITEOUT_DEVICE:
            raise BadLayer(
                f"entry {self._entries}: device 0:0, which overlayfs takes for a whiteout"
            )
        directory, name = self._place(entry.parts)
        mode = NODES[entry.kind] | 0o600
        try:
            os.mknod(name, mode, entry.device, dir_fd=directory)
        except FileExistsError:
            directory = self._free(entry.parts)
            os.mknod(name, mode, entry.device, dir_fd=directory)
        os.chown(name, entry.uid, entry.gid, dir_fd=directory, follow_symlinks=False)
        # Opening a device may act on it, and chmod(2) has no "nofollow": by the O_PATH descriptor.
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            os.chmod(f"/proc/self/fd/{descriptor}", entry.mode)
        finally:
            os.close(descriptor)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=directory, follow_symlinks=False)

    def _hard_link(self, entry: Entry, target: Parts) -> None:
        if not target or target == entry.parts:
            raise BadLayer(f"entry {self._entries}: hard link to {entry.link!r}")
        if target[: len(entry.parts)] == entry.parts:
            raise BadLayer(f"entry {self._entries}: hard link into what it replaces")
        self._copy_up(target)
        for attempt in (1, 2):
            if len(self._open) + 2 > _CACHED:
                self._forget()  # now: the second lookup must not close the first one's
            source, destination = self._directory_of(target), self._directory_of(entry.parts)
            try:
                os.link(
                    target[-1], entry.parts[-1],
                    src_dir_fd=source, dst_dir_fd=destination, follow_symlinks=False,
                )  # fmt: skip
                return
            except FileExistsError:
                if attempt == 2:
                    raise
                self._free(entry.parts)
            except FileNotFoundError:
                raise BadLayer(
                    f"entry {self._entries}: hard link to {entry.link!r}, which is not there"
                ) from None
            except PermissionError:
                raise BadLayer(f"entry {self._entries}: hard link to a directory") from None

    def _copy_up(self, target: Parts) -> None:
        """Bring a lower layer's file into this one, to be linked to, as overlayfs would."""
        if target in self._made or self._exists(target):
            return
        found = self._view.lookup(target)
        if found is None or target in self._whiteouts or self._hidden(target):
            return  # linking will say that it is not there
        self._dependent = True
        entry = entry_of(target, found)
        if entry.kind == DIRECTORY:
            raise BadLayer(f"entry {self._entries}: hard link to a directory")
        if entry.kind == SYMLINK:
            self._symlink(entry)
        elif entry.kind == FILE:
            self._size += entry.size
            if self._size > self._limits.total:
                raise BadLayer(f"more than {self._limits.total} bytes of files")
            self._copy_file(entry, found)
        else:
            self._node(entry)
        self._made.add(target)

    def _copy_file(self, entry: Entry, found: Found) -> None:
        source = os.open(
            found.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=found.directory
        )
        try:
            directory, name = self._place(entry.parts)
            descriptor = os.open(name, _CREATE, 0o600, dir_fd=directory)
            try:
                while os.sendfile(descriptor, source, None, 1 << 24):
                    pass
                entry.xattrs = kept_xattrs(source)
                dress(descriptor, entry)
            finally:
                os.close(descriptor)
        finally:
            os.close(source)

    # Whiteouts

    def _mark(self, parts: Parts) -> None:
        name = parts[-1]
        if name == _OPAQUE_MARK and not any(part.startswith(_WHITEOUT) for part in parts[:-1]):
            self._directory_of(parts)
            self._opaque.add(parts[:-1])
        elif any(part.startswith(_AUFS) for part in parts):
            pass  # its own notes in old layers: they say nothing about files
        elif any(part.startswith(_WHITEOUT) for part in parts[:-1]):
            raise BadLayer(f"entry {self._entries}: a whiteout used as a directory")
        else:
            hidden = name.removeprefix(_WHITEOUT)
            if hidden in (b"", b".", b".."):
                raise BadLayer(f"entry {self._entries}: a whiteout of nothing")
            self._directory_of(parts)
            self._whiteouts.add((*parts[:-1], hidden))

    def _hidden(self, parts: Parts) -> bool:
        return any(parts[:depth] in self._opaque for depth in range(len(parts)))

    def _hide(self) -> None:
        """Make the marks real, once all is there: a whiteout hides nothing of its own layer."""
        for parts in self._whiteouts:
            # Inside an opaque directory it has nothing to hide, and readdir(3) would show it.
            if self._hidden(parts):
                continue
            directory, name = self._place(parts)
            try:
                os.mknod(name, stat.S_IFCHR, WHITEOUT_DEVICE, dir_fd=directory)
            except FileExistsError:
                # Ours replaces the lower one. Two directories would merge, so cut the lower one
                # off.
                if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                    self._opaque.add(parts)
        for parts in self._opaque:
            # By the way to what is in it: the name may be a link of this layer.
            descriptor = self._directory_of((*parts, b""))
            os.setxattr(f"/proc/self/fd/{descriptor}", OPAQUE, b"y")

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
                self._unmake(parts)
            os.mkdir(name, 0o755, dir_fd=above)
            self._implicit.add(parts)
            self._made.add(parts)
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
        self._unmake(parts)
        return directory

    def _forget(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def _unmake(self, prefix: Parts) -> None:
        if prefix not in self._made:
            return
        depth = len(prefix)
        for known in (self._made, self._implicit, self._opaque):
            known.difference_update([p for p in known if p[:depth] == prefix])
        for parts in [p for p in self._directories if p[:depth] == prefix]:
            del self._directories[parts]
        # What was hidden inside it goes with it; a whiteout of itself stands beside it.
        below = [p for p in self._whiteouts if p[:depth] == prefix and p != prefix]
        self._whiteouts.difference_update(below)

    def _exists(self, parts: Parts) -> bool:
        try:
            os.stat(parts[-1], dir_fd=self._directory_of(parts), follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def _finish_directories(self) -> None:
        for parts in self._implicit:
            self._directories[parts] = self._inherited(parts)
        self._directories.setdefault((), Entry((), DIRECTORY, 0o755))
        for parts in sorted(self._directories, key=len, reverse=True):
            try:
                descriptor = self._open_directory(parts)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
                    continue  # replaced through a link later on
                raise
            try:
                dress(descriptor, self._directories[parts])
            finally:
                os.close(descriptor)

    def _inherited(self, parts: Parts) -> Entry:
        """A directory the archive omits keeps what lower layers gave it, not to hide it."""
        self._dependent = True
        hidden = self._hidden(parts) or parts in self._whiteouts
        found = None if hidden else self._view.lookup(parts)
        if found is None or not stat.S_ISDIR(found.status.st_mode):
            return Entry(parts, DIRECTORY, 0o755)
        return entry_of(parts, found)
