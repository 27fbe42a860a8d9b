"""An EROFS filesystem whose files are where they are in a tar archive: only metadata is written.

    superblock   at 1,024, in the 4 KiB before the archive
    archive      as it came; a file's bytes are whole blocks of 512 there, one after the other
    data         what the archive has no room for: the pieces of sparse files, at their places
    metadata     inodes, each followed by its attributes; then the directories' blocks

Nothing of an archive is ever taken for metadata, so a hostile one gives hostile files and no
hostile filesystem. Blocks of 512 bytes need Linux 6.4.

Source: Linux fs/erofs/erofs_fs.h; Documentation/filesystems/erofs.rst, "On-disk layout".
"""

import os
import struct
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from engine.images.layers.attributes import is_kept
from engine.images.layers.base import opaque
from engine.images.layers.tree import ROOT, Tree
from engine.images.tar import BLOCK_DEVICE, CHAR, DIRECTORY, FIFO, FILE, SYMLINK
from engine.images.tarfields import NS

ARCHIVE = 4096  # where it begins
BLOCK = 512
_BITS = 9
_BLOCKS_MAX = 0xFFFFFFFE
HOLE = 0xFFFFFFFF
_SLOT = 32  # inodes are numbered in these
_META = 64  # inodes begin here: number 0 stays unused
_BUFFER = 1 << 20
# magic checksum compat | block bits, slots, root | inodes, built | blocks, metadata, attributes ...
_SUPERBLOCK = struct.Struct("<IIIBBHQQIIII16s16sIHHHBBIQ24x")
_MAGIC, _CHUNKED = 0xE0F5E1E2, 0x4
# format, attributes, mode, - | size, where, ino | uid, gid | mtime | links
_INODE = struct.Struct("<HHHHQIIIIqII16x")
_LINK_MAX = BLOCK - _INODE.size  # inline
_ATTRIBUTES_MAX = 12 + 4 * 0xFFFE
_DIRENT = struct.Struct("<QHBx")
_PLAIN, _INLINE, _CHUNKS = 0, 2, 4
_PREFIXES = (
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"user.", 1),
    (b"trusted.", 4),
    (b"security.", 6),
)
_KINDS = {
    FILE[0]: (0o100000, 1), DIRECTORY[0]: (0o040000, 2), CHAR[0]: (0o020000, 3),
    BLOCK_DEVICE[0]: (0o060000, 4), FIFO[0]: (0o010000, 5), SYMLINK[0]: (0o120000, 7),
}  # fmt: skip
_DRESSED = FILE + DIRECTORY  # what has attributes


class Unsuitable(Exception):
    """A layer that this filesystem cannot hold: too large, or too large an attribute."""


@dataclass(slots=True)
class Chunks:
    """A file with holes: where each 2**bits bytes of it are, as a block of the image, or HOLE."""

    bits: int
    blocks: "array[int]"


def write_image(
    tree: Tree, start: int, data: Mapping[int, int | Chunks], write: Callable[[bytes], object]
) -> bytes:
    """Give the metadata of a finished tree to `write`; return the superblock, for offset 1,024.

    The metadata will be at `start`, in bytes, a multiple of the block. A file's first block is
    found by its offset in the archive, unless `data` has it. Raise Unsuitable.
    """
    return _Image(tree, start, data).write(write)


class _Image:
    def __init__(self, tree: Tree, start: int, data: Mapping[int, int | Chunks]) -> None:
        self._tree = tree
        self._start = start // BLOCK
        self._data = data
        self._numbers = array("Q", bytes(8 * len(tree.names)))
        self._links = array("I", bytes(4 * len(tree.names)))
        self._inodes = array("I")  # in their order in the image
        self._blocks: dict[int, int] = {}  # of directories and long links: the first one
        self._sizes: dict[int, int] = {}  # of directories

    def write(self, write: Callable[[bytes], object]) -> bytes:
        self._count()
        end = self._place()
        buffer = bytearray()
        for piece in self._pieces():
            buffer += piece
            if len(buffer) > _BUFFER:
                write(bytes(buffer))
                buffer.clear()
        write(bytes(buffer))
        features = _CHUNKED if any(isinstance(d, Chunks) for d in self._data.values()) else 0
        return _SUPERBLOCK.pack(
            _MAGIC, 0, 0, _BITS, 0, self._numbers[ROOT], len(self._inodes), 0, 0, end,
            self._start, 0, bytes(16), b"layer", features, 0, 0, 0, 0, 0, 0, 0,
        )  # fmt: skip

    def _count(self) -> None:
        """Which nodes have inodes, and how many names each has."""
        tree, links = self._tree, self._links
        for node in tree.order():
            real = tree.same.get(node, node)
            if not links[real]:
                self._inodes.append(real)
            links[real] += 1
            if node in tree.kids:
                links[node] += 1  # its own "."
                if node != ROOT:
                    links[tree.parents[node]] += 1  # its ".."

    def _place(self) -> int:
        """Where each inode is and, behind them all, each directory's blocks. Return the end."""
        position = _META
        numbers, tree = self._numbers, self._tree
        for node in self._inodes:
            position += -position % _SLOT
            size = _INODE.size + len(self._attributes(node))
            data = self._data.get(node)
            if isinstance(data, Chunks):
                size += 4 * len(data.blocks)
            elif (link := len(tree.links.get(node, b""))) and link <= _LINK_MAX:
                # What is inline must not cross a block.
                if (position + size) // BLOCK != (position + size + link - 1) // BLOCK:
                    position += -position % BLOCK
                size += link
            numbers[node] = position // _SLOT
            position += size
        block = self._start + -(-position // BLOCK)
        for node in self._inodes:
            if node in tree.kids:
                size = self._sizes[node] = sum(self._fill(node))
            elif (size := len(tree.links.get(node, b""))) <= _LINK_MAX:
                continue
            self._blocks[node] = block
            block += -(-size // BLOCK)
        if block > _BLOCKS_MAX:
            raise Unsuitable(f"an image of {block} blocks")
        return block

    def _fill(self, node: int) -> Iterator[int]:
        """The bytes of a directory's blocks: all but the last are whole."""
        size = 0
        for name in self._names(node):
            if size + _DIRENT.size + len(name) > BLOCK:
                yield BLOCK
                size = 0
            size += _DIRENT.size + len(name)
        yield size

    def _names(self, node: int) -> list[bytes]:
        return sorted((b".", b"..", *self._tree.kids[node]))

    def _pieces(self) -> Iterator[bytes]:
        position = 0
        for number, node in enumerate(self._inodes, 1):
            at = self._numbers[node] * _SLOT
            yield bytes(at - position)
            piece = self._inode(node, number)
            yield piece
            position = at + len(piece)
        yield bytes(-position % BLOCK)
        for node in self._blocks:
            if node in self._tree.kids:
                yield from self._directory(node)
            else:
                yield _padded(self._tree.links[node])

    def _inode(self, node: int, number: int) -> bytes:
        tree = self._tree
        mode, _ = _KINDS[tree.kinds[node]]
        mode |= 0o777 if node in tree.links else tree.modes[node]
        attributes = self._attributes(node)
        layout, where, size, tail = _PLAIN, 0, 0, b""
        data = self._data.get(node)
        if isinstance(data, Chunks):
            layout, where, size = _CHUNKS, data.bits - _BITS, tree.sizes[node]
            tail = data.blocks.tobytes()
        elif node in tree.kids:
            where, size = self._blocks[node], self._sizes[node]
        elif node in tree.links:
            size = len(tree.links[node])
            if size <= _LINK_MAX:
                layout, tail = _INLINE, tree.links[node]
            else:
                where = self._blocks[node]
        elif node in tree.devices:
            where = _device(tree.devices[node])
        elif size := tree.sizes[node]:
            where = (ARCHIVE + tree.offsets[node]) // BLOCK if data is None else data
        count = (len(attributes) - 12) // 4 + 1 if attributes else 0
        seconds, nanoseconds = divmod(tree.times[node], NS)
        return b"".join(
            (
                _INODE.pack(
                    1 | layout << 1, count, mode, 0, size, where, number, tree.uids[node],
                    tree.gids[node], seconds, nanoseconds, self._links[node],
                ),
                attributes,
                tail,
            )
        )  # fmt: skip

    def _attributes(self, node: int) -> bytes:
        """A file's or directory's extended attributes, as they follow its inode."""
        tree = self._tree
        kept = [(k, v) for k, v in tree.xattrs.get(node, ()) if is_kept(k)]
        if tree.is_opaque(node):
            kept.append((opaque(), b"y"))
        if not kept or tree.kinds[node] not in _DRESSED:
            return b""
        out = bytearray(12)
        for key, value in kept:
            prefix, index = next(p for p in _PREFIXES if key.startswith(p[0]))
            name = key[len(prefix) :]
            if len(name) > 255 or len(value) > 0xFFFF:
                raise Unsuitable(f"attribute {key[:80]!r} of {len(value)} bytes")
            out += struct.pack("<BBH", len(name), index, len(value)) + name + value
            out += bytes(-len(out) % 4)
        if len(out) > _ATTRIBUTES_MAX:
            raise Unsuitable(f"{len(out)} bytes of attributes")
        return bytes(out)

    def _directory(self, node: int) -> Iterator[bytes]:
        kids, parent = self._tree.kids[node], self._tree.parents[node]
        block: list[tuple[bytes, int]] = []
        size = 0
        for name in self._names(node):
            if size + _DIRENT.size + len(name) > BLOCK:
                yield self._dirents(block)
                block, size = [], 0
            size += _DIRENT.size + len(name)
            child = kids.get(name, node if name == b"." else parent)
            block.append((name, self._tree.same.get(child, child)))
        yield self._dirents(block)

    def _dirents(self, block: list[tuple[bytes, int]]) -> bytes:
        kinds, numbers = self._tree.kinds, self._numbers
        at, out, names = _DIRENT.size * len(block), [], []
        for name, node in block:
            out.append(_DIRENT.pack(numbers[node], at, _KINDS[kinds[node]][1]))
            names.append(name)
            at += len(name)
        return _padded(b"".join(out + names))


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def _device(device: int) -> int:
    """The kernel's new_encode_dev()."""
    major, minor = os.major(device), os.minor(device)
    return (minor & 0xFF) | major << 8 | (minor & ~0xFF) << 12
