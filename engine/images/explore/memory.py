"""A layer's table in memory: from its archive's entries, or from a container's upper directory.

Making one reads everything once; it is for what has no index, as a running container's changes.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from engine.images.errors import BadLayer
from engine.images.explore.indexed import KINDS
from engine.images.explore.node import Kind, Names, Node, join
from engine.images.layers.base import WHITEOUT_DEVICE, opaque
from engine.images.tar import Entry, Parts
from engine.linux.flags import RESOLVE
from engine.linux.path import openat2

_MODES = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHAR,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFSOCK: Kind.SOCKET,
}
_WHITEOUT = b".wh."
_OPAQUE_MARK = b".wh..wh..opq"
_AUFS = b".wh..wh."
_IMPLICIT = Node(Kind.DIRECTORY, mode=0o755, implicit=True)
_GONE = Node(Kind.WHITEOUT)
_NOTHING: Names = {}
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BENEATH = RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS | RESOLVE.NO_XDEV
# Gone or replaced meanwhile, or deeper than a path can say.
_PASSED_BY = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}


class MemoryTable:
    """Filled by add(), then finished once; from then on it is a Table."""

    def __init__(self) -> None:
        self._directories: dict[bytes, dict[bytes, Node]] = {b"": {}}
        self.root = _IMPLICIT

    @classmethod
    def of_archive(cls, entries: Iterable[Entry]) -> MemoryTable:
        """The table of a layer's archive (OCI image-spec layer.md)."""
        table, opaque = cls(), []
        for entry in entries:
            parts = entry.parts
            name = parts[-1] if parts else b""
            if not any(part.startswith(_WHITEOUT) for part in parts):
                table.add(parts, _node(entry))
            elif name == _OPAQUE_MARK:
                opaque.append(parts[:-1])
            elif not any(part.startswith(_AUFS) for part in parts):
                table.add((*parts[:-1], name.removeprefix(_WHITEOUT)), _GONE)
        for parts in opaque:
            table.hide(parts)
        table.finish()
        return table

    @classmethod
    def of_upper(cls, upper: Path) -> MemoryTable:
        """The table of an overlay's upper directory (overlayfs.rst), which may change meanwhile."""
        table = cls()
        root = os.open(upper, _DIRECTORY)
        try:
            for parts, node in _walk(root):
                table.add(parts, node)
        finally:
            os.close(root)
        table.finish()
        return table

    def add(self, parts: Parts, node: Node) -> None:
        """A name. A later one replaces an earlier, as it does when a layer is unpacked."""
        if not parts:
            self.root = msgspec.structs.replace(node, opaque=self.root.opaque or node.opaque)
            return
        names, name = self._names(parts[:-1]), parts[-1]
        there = names.get(name)
        path = b"/".join(parts)
        if node.is_directory:
            self._directories.setdefault(path, {})
            # A whiteout beside it hides what the layers below have there (layer.md, "Whiteouts").
            cut = there is not None and (there.kind is Kind.WHITEOUT or there.opaque)
            node = msgspec.structs.replace(node, opaque=True) if cut else node
        elif node.kind is Kind.WHITEOUT:
            if there is not None:
                if there.is_directory:
                    names[name] = msgspec.structs.replace(there, opaque=True)
                return
        elif there is not None and there.is_directory:
            self._forget(path)
        names[name] = node

    def hide(self, parts: Parts) -> None:
        """An opaque mark in a directory."""
        if not parts:
            self.root = msgspec.structs.replace(self.root, opaque=True)
            return
        names = self._names(parts[:-1])
        there = names.get(parts[-1])
        if there is None or not there.is_directory:
            self._names(parts)
            there = names[parts[-1]]
        names[parts[-1]] = msgspec.structs.replace(there, opaque=True)

    def finish(self) -> None:
        """Sum up the directories: each comes after the one it is in, so backwards."""
        sums: dict[bytes, tuple[int, int, int]] = {}
        for path in reversed(list(self._directories)):
            names = self._directories[path] = dict(sorted(self._directories[path].items()))
            total = count = gone = 0
            for name, node in names.items():
                if node.kind is Kind.WHITEOUT:
                    gone += 1
                    continue
                count += 1
                if node.is_directory:
                    names[name] = node = _summed(node, sums.pop(join(path, name)))
                    total, count, gone = total + node.total, count + node.count, gone + node.gone
                else:
                    total += node.size
            sums[path] = (total, count, gone)
        self.root = _summed(self.root, sums[b""])

    def directory(self, path: bytes) -> Names:
        return self._directories.get(path, _NOTHING)

    def _names(self, parts: Parts) -> dict[bytes, Node]:
        """The names of a directory, which is made, with those above it, when it is not there."""
        names = self._directories.get(b"/".join(parts))
        if names is not None:
            return names
        above, name = self._names(parts[:-1]), parts[-1]
        there = above.get(name)
        above[name] = (
            msgspec.structs.replace(_IMPLICIT, opaque=True)
            if there is not None and there.kind is Kind.WHITEOUT
            else _IMPLICIT
        )
        names = self._directories[b"/".join(parts)] = {}
        return names

    def _forget(self, path: bytes) -> None:
        gone = [path]
        while gone:
            path = gone.pop()
            names = self._directories.pop(path)
            gone += [join(path, name) for name, node in names.items() if node.is_directory]


def _summed(node: Node, sums: tuple[int, int, int]) -> Node:
    total, count, gone = sums
    return msgspec.structs.replace(node, total=total, count=count, gone=gone)


def _node(entry: Entry) -> Node:
    kind = KINDS.get(entry.kind)
    if kind is None:
        raise BadLayer(f"{b'/'.join(entry.parts)!r}: an entry of type {entry.kind!r}")
    return Node(
        kind,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        size=entry.size,
        mtime=entry.mtime,
        link=entry.link,
    )


def _walk(root: int) -> Iterator[tuple[Parts, Node]]:
    """Every name below an open directory, a directory before what is in it; links not followed."""
    pending: list[Parts] = [()]
    while pending:
        parent = pending.pop()
        try:
            directory = openat2(root, b"/".join(parent) or b".", _DIRECTORY, 0, _BENEATH)
        except OSError as error:
            if error.errno in _PASSED_BY:
                continue
            raise
        try:
            for name in map(os.fsencode, sorted(os.listdir(directory))):
                parts = (*parent, name)
                try:
                    node = _found(directory, name)
                except FileNotFoundError:
                    continue
                if node.is_directory:
                    pending.append(parts)
                yield parts, node
        finally:
            os.close(directory)


def _found(directory: int, name: bytes) -> Node:
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    kind = _MODES[stat.S_IFMT(status.st_mode)]
    link, opaque, size = b"", False, 0
    if kind is Kind.CHAR and status.st_rdev == WHITEOUT_DEVICE:
        return _GONE
    if kind is Kind.DIRECTORY:
        opaque = _is_opaque(directory, name)
    elif kind is Kind.SYMLINK:
        link = os.readlink(name, dir_fd=directory)
    elif kind is Kind.FILE:
        size = status.st_size
    return Node(
        kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        size=size,
        mtime=status.st_mtime_ns,
        link=link,
        opaque=opaque,
    )


def _is_opaque(directory: int, name: bytes) -> bool:
    try:
        descriptor = os.open(name, _DIRECTORY, dir_fd=directory)
    except OSError as error:
        if error.errno in _PASSED_BY:
            return False
        raise
    try:
        return opaque() in map(os.fsencode, os.listxattr(descriptor))
    finally:
        os.close(descriptor)
