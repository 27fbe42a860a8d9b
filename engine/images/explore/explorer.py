"""Images and containers, opened to be looked into: their layers' tables, and their files' bytes.

Nothing is executed, and what has to be mounted to be read has no name. A layer's table is made once
and shared by all images that have the layer. A container is its image with one layer more, its
upper directory.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from engine.images.errors import BadImage, PathNotFound
from engine.images.explore.indexed import IndexedTable
from engine.images.explore.memory import MemoryTable
from engine.images.explore.node import Kind, Node, Table, shown, split
from engine.images.explore.stack import Stack
from engine.images.layers import index
from engine.images.layers.index import LayerIndex
from engine.images.store import ImageStore
from engine.images.types import Image, chain_ids
from engine.linux.flags import RESOLVE
from engine.linux.path import openat2

_BENEATH = RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS | RESOLVE.NO_XDEV
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Opened:
    """What is looked into. `made_by` and `layers` are of each layer, lowest first: what made it,
    and its tree, as a context; the last may be a container's."""

    name: str
    stack: Stack
    made_by: tuple[str, ...]
    layers: tuple[Callable[[], AbstractContextManager[Path]], ...]

    def file(self, path: bytes, layer: int | None = None) -> tuple[int, bytes, Node]:
        """The layer, path and node of the regular file at a path: as the container would see it,
        or just what one layer has. Raise PathNotFound, or BadImage when links go in circles."""
        node: Node | None
        if layer is None:
            at = self.stack.resolve(path)
            found = self.stack.find(at)
            where, node = (found.layer, found.node) if found else (0, None)
        else:
            at, where = b"/".join(split(path)), layer
            node = dict(self.stack.history(at)).get(layer)
        if node is None or node.kind is Kind.WHITEOUT:
            of = "" if layer is None else f" layer {layer + 1} of"
            raise PathNotFound(f"{shown(path)}: not in{of} {self.name}")
        if node.kind is Kind.HARDLINK:
            at = b"/".join(split(node.link))
            below = self.stack.tables[where].directory(at.rpartition(b"/")[0])
            node = below.get(at.rpartition(b"/")[2], node)
        if node.kind is not Kind.FILE:
            raise PathNotFound(f"{shown(path)}: a {node.kind}, not a file, in {self.name}")
        return where, at, node

    def copy(self, path: bytes, write: Callable[[bytes], object], layer: int | None = None) -> None:
        """Give a regular file's bytes to `write`. Raise as file() does."""
        with self._open(*self.file(path, layer)[:2]) as descriptor:
            while chunk := os.read(descriptor, _CHUNK):
                write(chunk)

    def read(self, path: bytes, limit: int, offset: int = 0, layer: int | None = None) -> bytes:
        """At most `limit` bytes of a regular file. Raise as file() does."""
        with self._open(*self.file(path, layer)[:2]) as descriptor:
            return os.pread(descriptor, limit, offset)

    @contextmanager
    def held(self) -> Iterator[Opened]:
        """The same, its layers' trees open until the end: for who reads many files."""
        with ExitStack() as holding:
            trees = [holding.enter_context(layer()) for layer in self.layers]
            yield replace(self, layers=tuple(partial(_open_already, tree) for tree in trees))

    @contextmanager
    def _open(self, layer: int, path: bytes) -> Iterator[int]:
        with self.layers[layer]() as tree:
            root = os.open(tree, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
                descriptor = openat2(root, path, flags, 0, _BENEATH)
            except OSError as error:
                # A container's file may go, or become a pipe, while it is looked for.
                raise PathNotFound(f"{shown(path)}: {error.strerror}") from None
            finally:
                os.close(root)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise PathNotFound(f"{shown(path)}: not a file any more")
            yield descriptor
        finally:
            os.close(descriptor)


def _open_already(tree: Path) -> AbstractContextManager[Path]:
    return nullcontext(tree)


class Explorer:
    """Opens what is in a store. Safe to use from several threads."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store
        self._tables: dict[Path, Table] = {}
        self._lock = threading.Lock()

    def image(self, reference: str) -> Opened:
        """An image; its layers are made ready when they are not. Raise ImageError."""
        image = self._store.resolve(reference)
        self._store.ready(image)
        folders = self._folders(image)
        return Opened(
            image.reference,
            Stack([self._table(folder) for folder in folders]),
            tuple(layer.created_by for layer in image.layers),
            tuple(partial(self._store.layers.tree, folder) for folder in folders),
        )

    def container(self, image: Opened, name: str, upper: Path) -> Opened:
        """A container of an image, as it is now. Raise FileNotFoundError when it is gone."""
        changed = MemoryTable.of_upper(upper)
        return Opened(
            name,
            Stack([*image.stack.tables, changed]),
            (*image.made_by, "written by the container"),
            (*image.layers, partial(_open_already, upper)),
        )

    def _folders(self, image: Image) -> Sequence[Path]:
        folders = []
        diff_ids = tuple(layer.diff_id for layer in image.layers)
        for diff_id, chain_id in zip(diff_ids, chain_ids(diff_ids), strict=True):
            folder = self._store.layers.find(diff_id, chain_id)
            if folder is None:
                raise BadImage(f"{image.reference}: layer {diff_id} was removed meanwhile")
            folders.append(folder)
        return folders

    def _table(self, folder: Path) -> Table:
        with self._lock:
            known = self._tables.get(folder)
        if known is None:
            known = IndexedTable(LayerIndex.open(folder / index.NAME))
            with self._lock:
                for gone in [each for each in self._tables if not each.exists()]:
                    del self._tables[gone]
                self._tables[folder] = known
        return known
