"""One name of a layer, as the explorer sees it, and a layer's names by directory.

A path is bytes, its parts joined by "/", without one at either end; b"" is the root. What a layer
says is kept as it says it: a whiteout is a node of its own kind, an opaque directory a mark, and a
directory that the archive only implies is told apart from one that it has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

import msgspec

_SURROGATE = re.compile("[\udc80-\udcff]")
_ESCAPED = re.compile(rb"\\(?:x([0-9a-f]{2})|\\)")


class Kind(StrEnum):
    """What a name stands for."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    CHAR = "char"
    BLOCK = "block"
    FIFO = "fifo"
    SOCKET = "socket"
    WHITEOUT = "whiteout"


class Node(msgspec.Struct, frozen=True, gc=False):
    """`size` is a file's bytes. `total`, `count` and `gone` are of a directory: bytes of the files,
    names, and whiteouts, at any depth below it in this layer. `mtime` is in ns. `link` is a link's
    target: as written for a symlink, a path for a hard link. `digest` is of a file's content, ""
    when nobody has computed it. `opaque`: nothing of the layers below shows through.
    """

    kind: Kind
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    link: bytes = b""
    digest: str = ""
    opaque: bool = False
    implicit: bool = False
    total: int = 0
    count: int = 0
    gone: int = 0

    @property
    def is_directory(self) -> bool:
        return self.kind is Kind.DIRECTORY

    @property
    def touched(self) -> bool:
        """Whether the layer has anything below this directory."""
        return self.count > 0 or self.gone > 0


Names = Mapping[bytes, Node]


class Table(Protocol):
    """One layer. Only the directories that are asked for need to be read."""

    @property
    def root(self) -> Node:
        """The layer's root directory; its total and count are the layer's."""
        ...

    def directory(self, path: bytes) -> Names:
        """The names in a directory; empty when the layer has no such directory."""
        ...


def join(parent: bytes, name: bytes) -> bytes:
    return parent + b"/" + name if parent else name


def split(path: bytes) -> tuple[bytes, ...]:
    """The parts of a path in any spelling; "." and empty parts are nothing, ".." is kept."""
    return tuple(part for part in path.split(b"/") if part not in (b"", b"."))


def shown(path: bytes) -> str:
    """A path as text, absolute: a byte that is not UTF-8 as `\\xNN`, a backslash doubled."""
    text = path.replace(b"\\", b"\\\\").decode("utf-8", "surrogateescape")
    return "/" + _SURROGATE.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", text)


def meant(text: str) -> bytes:
    """The path that was told as `text` by shown(), or that somebody typed."""
    told = text.encode("utf-8", "surrogateescape")
    plain = _ESCAPED.sub(
        lambda match: bytes.fromhex(match[1].decode()) if match[1] else b"\\", told
    )
    return b"/".join(split(plain))


def alike(one: Node, other: Node) -> bool:
    """Whether nobody in a container could tell the two apart but by time.

    Contents are compared by digest where both have one, else by size and time.
    """
    if (one.kind, one.mode, one.uid, one.gid, one.link) != (
        other.kind, other.mode, other.uid, other.gid, other.link,
    ):  # fmt: skip
        return False
    if one.kind is not Kind.FILE:
        return True
    if one.size != other.size:
        return False
    if one.digest and other.digest:
        return one.digest == other.digest
    return one.mtime == other.mtime
