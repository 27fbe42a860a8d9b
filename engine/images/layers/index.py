"""A layer's index: what is in it and where in the archive, made while the layer was read.

    layers/<key>/index    header, a record of fixed size for each entry, then the texts

Records are level by level, and a directory's children stand together, sorted by name. So the file
is only mapped: a name is found by halves, and a layer of 100,000 entries is open at once. A place
is one in the plain archive, whose digest is the diff id: to read a file is to seek.
"""

import mmap
import struct
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from engine.images.errors import BadImage
from engine.images.layers.tree import ROOT, Flag, Tree
from engine.images.tar import DIRECTORY, FILE, Parts

NAME = "index"
_MAGIC, _VERSION = b"pdmindex", 1
HEADER = struct.Struct("<8sIIQ40x")  # magic, version, records, bytes of texts
# texts size mtime offset device | parent first children uid gid attributes | mode name link | kind
# flags: where the texts are, and how long each of the three is; the rest as in Indexed.
RECORD = struct.Struct("<QqqqQIIIIIIHHHBB")
_WRITTEN = 4096  # records at a time


class Indexed(NamedTuple):
    """An entry. `children` counts those of a directory; a whiteout's name is the one it hides.

    A hard link has its file's size and place, and `link` is that file's name in the layer. What a
    lower layer's file gave (Flag.BELOW) has no place in the archive; a sparse file's pieces are at
    its place, one after the other (Flag.SPARSE). Times are ns, sizes bytes.
    """

    number: int
    name: bytes
    kind: bytes
    flags: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    offset: int
    device: int
    link: bytes
    xattrs: tuple[bytes, ...]
    parent: int
    first: int
    children: int


class LayerIndex:
    """An index file, mapped. Use it as a context, or close() it."""

    @classmethod
    def open(cls, path: Path) -> "LayerIndex":
        """Raise FileNotFoundError, or BadImage when it is not an index."""
        with open(path, "rb") as file:
            try:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError:  # an empty one
                raise BadImage(f"{path}: not a layer's index") from None
        return cls(data, path)

    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self._data = data
        magic, version, count, texts = b"", 0, 0, 0
        if len(data) >= HEADER.size:
            magic, version, count, texts = HEADER.unpack_from(data)
        self._texts = HEADER.size + count * RECORD.size
        if (magic, version) != (_MAGIC, _VERSION) or len(data) != self._texts + texts or not count:
            data.close()
            raise BadImage(f"{path}: not a layer's index, or of another version, or cut short")
        self._count: int = count

    def __enter__(self) -> "LayerIndex":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._data.close()

    def __len__(self) -> int:
        """How many entries, the root being the first."""
        return self._count

    def __iter__(self) -> Iterator[Indexed]:
        """Every entry: the root, then level by level, each directory's children sorted by name."""
        return self._range(0, self._count)

    def __getitem__(self, number: int) -> Indexed:
        """The entry `number`, from 0, the root. Raise IndexError."""
        if not 0 <= number < self._count:
            raise IndexError(number)
        return next(self._range(number, number + 1))

    def children(self, directory: Indexed) -> Iterator[Indexed]:
        """What is in a directory, sorted by name; nothing in anything else."""
        return self._range(directory.first, directory.first + directory.children)

    def lookup(self, parts: Parts) -> Indexed | None:
        """The entry under a name; links are not followed."""
        found = self[ROOT]
        for part in parts:
            end = found.first + found.children
            at = bisect_left(range(end), part, lo=found.first, hi=end, key=self._name)
            if at == end or self._name(at) != part:
                return None
            found = self[at]
        return found

    def path(self, entry: Indexed) -> Parts:
        """The entry's whole name."""
        parts = []
        while entry.number != ROOT:
            parts.append(entry.name)
            entry = self[entry.parent]
        return tuple(reversed(parts))

    def walk(self) -> Iterator[tuple[Parts, Indexed]]:
        """Every entry with its name, in the order of iteration."""
        folders: dict[int, Parts] = {}
        for entry in self:
            parts = (*folders[entry.parent], entry.name) if entry.number else ()
            if entry.kind == DIRECTORY:
                folders[entry.number] = parts
            yield parts, entry

    @property
    def records(self) -> memoryview:
        """The records as they are in the file, for who reads columns (see RECORD)."""
        return memoryview(self._data)[HEADER.size : self._texts]

    def _name(self, number: int) -> bytes:
        record = RECORD.unpack_from(self._data, HEADER.size + number * RECORD.size)
        at = self._texts + record[0]
        return self._data[at : at + record[12]]

    def _range(self, number: int, end: int) -> Iterator[Indexed]:
        data, texts = self._data, self._texts
        for step in range(number, end, _WRITTEN):
            stop = min(end, step + _WRITTEN)
            block = data[HEADER.size + step * RECORD.size : HEADER.size + stop * RECORD.size]
            for number, record in enumerate(RECORD.iter_unpack(block), step):
                (text, size, mtime, offset, device, parent, first, children, uid, gid, attributes,
                 mode, name, link, kind, flags) = record  # fmt: skip
                text += texts
                at = text + name
                named = at + link
                xattrs = tuple(data[named : named + attributes].split(b"\0")) if attributes else ()
                yield Indexed(
                    number, data[text:at], _KINDS[kind], flags, mode, uid, gid, size, mtime, offset,
                    device, data[at:named], xattrs, parent, first, children,
                )  # fmt: skip


_KINDS = [bytes([kind]) for kind in range(256)]


def write_index(tree: Tree, path: Path) -> None:
    """Write a finished tree's index, as a new file."""
    numbers: dict[int, int] = {}  # of directories
    texts, records, next_child, count = bytearray(), bytearray(), 1, 0
    with open(path, "xb", buffering=0) as file:
        file.write(bytes(HEADER.size))
        for node in tree.order():
            name, kids = tree.names[node], tree.kids.get(node, ())
            real = tree.same.get(node, node)
            link, size, offset, flags = b"", 0, 0, tree.flags[node]
            if node in tree.same:
                link = b"/".join(tree.path(real))
            elif node in tree.links:
                link = tree.links[node]
            if tree.kinds[real] == FILE[0]:
                size, offset = tree.sizes[real], tree.offsets[real]
                flags |= _SPARSE if real in tree.segments else 0
            first, children = (next_child, len(kids)) if node in tree.kids else (0, 0)
            attributes = b"\0".join(key for key, _ in tree.xattrs.get(real, ()))
            records += RECORD.pack(
                len(texts), size, tree.times[node], offset, tree.devices.get(node, 0),
                numbers.get(tree.parents[node], ROOT), first, children, tree.uids[node],
                tree.gids[node], len(attributes), tree.modes[node], len(name), len(link),
                tree.kinds[node], flags,
            )  # fmt: skip
            texts += name + link + attributes
            if children:
                numbers[node] = count
                next_child += children
            count += 1
            if len(records) > _WRITTEN * RECORD.size:
                file.write(records)
                records.clear()
        file.write(records)
        file.write(texts)
        file.seek(0)
        file.write(HEADER.pack(_MAGIC, _VERSION, count, len(texts)))


_SPARSE = int(Flag.SPARSE)
