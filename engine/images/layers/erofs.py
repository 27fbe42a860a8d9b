"""The `erofs` driver: a layer's archive kept as it came, with an index that the kernel can mount.

    layers/<key>/image    the plain archive between a superblock and metadata (see erofsimage.py)
    layers/<key>/fs       where it is mounted while it is needed

Nothing is unpacked: making a layer ready costs one file of the archive's size, and removing it one
unlink. What the format cannot hold is unpacked from the archive that was kept, as `dir` would.
"""

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from engine.images import stream
from engine.images.errors import BadLayer, ImageError
from engine.images.layers.attributes import below as lower_file
from engine.images.layers.attributes import entry_of
from engine.images.layers.base import FS, LayerDriver, Unpacked
from engine.images.layers.erofsimage import ARCHIVE, BLOCK, HOLE, Chunks, Unsuitable, write_image
from engine.images.layers.tree import Tree
from engine.images.layers.view import Found, StackView
from engine.images.tar import HARDLINK, Entry, Limits, Parts, Reader

IMAGE = "image"
_SUPERBLOCK_AT = 1024
_PAGE = 4096
_CHUNKS_MAX, _CHUNKS_TOTAL = 1 << 18, 1 << 22  # of one sparse file, and of all
_CHUNK_BITS = range(12, 22)
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class ErofsDriver:
    """Keeps archives, and writes what makes them filesystems. What cannot be, `other` unpacks."""

    def __init__(self, other: LayerDriver) -> None:
        self._other = other

    def write(
        self, chunks: Iterable[bytes], layer: Path, below: Sequence[Path], limits: Limits
    ) -> Unpacked:
        """See LayerDriver.write()."""
        path = layer / IMAGE
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with _Keeping(descriptor, below, limits) as keeping:
                try:
                    done = keeping.run(chunks)
                except Unsuitable:
                    os.lseek(descriptor, ARCHIVE, os.SEEK_SET)
                    archive = stream.limited(stream.read(descriptor), keeping.length)
                    done = self._other.write(archive, layer, below, limits)
                    path.unlink()
                    return done
        finally:
            os.close(descriptor)
        (layer / FS).mkdir(mode=0o700)
        return done


class _Keeping:
    """One layer on its way into one image."""

    def __init__(self, image: int, below: Sequence[Path], limits: Limits) -> None:
        self._image = image
        self._view = StackView(below)
        self._limits = limits
        self._tree = Tree()
        self._entries = self._size = 0
        self._data: dict[int, int | Chunks] = {}
        self._chunks = 0
        self.length = 0  # of the archive

    def __enter__(self) -> "_Keeping":
        return self

    def __exit__(self, *_: object) -> None:
        self._view.close()

    def run(self, chunks: Iterable[bytes]) -> Unpacked:
        try:
            os.lseek(self._image, ARCHIVE, os.SEEK_SET)
            for entry in Reader(self._kept(chunks), self._limits):
                self._entries += 1
                self._size += entry.size
                self._add(entry)
            dependent = self._tree.finish(self._inherited)
            self._finish()
        except OSError as error:
            raise ImageError(f"{error.strerror} while it was written") from error
        return Unpacked(self._entries, self._size, dependent, self._tree, self.length)

    def _kept(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            stream.write_all(self._image, chunk)
            self.length += len(chunk)
            yield chunk

    def _add(self, entry: Entry) -> None:
        try:
            if entry.kind == HARDLINK:
                self._bring(entry.target)
            self._tree.add(entry)
        except BadLayer as error:
            raise BadLayer(f"entry {self._entries}: {error}") from None

    def _bring(self, target: Parts) -> None:
        """Let a lower layer's file be this one's, to be linked to, as overlayfs would."""
        found = lower_file(self._tree, self._view, target)
        if found is None:
            return  # the tree will say that it is not there
        entry = entry_of(target, found)
        self._size += entry.size
        if self._size > self._limits.total:
            raise BadLayer(f"more than {self._limits.total} bytes of files")
        self._tree.bring(entry)

    def _inherited(self, parts: Parts) -> Entry | None:
        found = self._view.lookup(parts)
        return None if found is None else entry_of(parts, found)

    # Behind the archive

    def _finish(self) -> None:
        end = ARCHIVE + self.length
        for node in self._tree.brought():
            end += -end % BLOCK
            self._data[node] = end // BLOCK
            end = self._copy(self._tree.path(node), end)
        for node, segments in self._tree.segments.items():
            end += -end % BLOCK
            self._data[node], end = self._spread(node, segments, end)
        end += -end % BLOCK
        os.lseek(self._image, end, os.SEEK_SET)
        superblock = write_image(
            self._tree, end, self._data, lambda piece: stream.write_all(self._image, piece)
        )
        os.pwrite(self._image, superblock, _SUPERBLOCK_AT)
        size = os.lseek(self._image, 0, os.SEEK_CUR)
        os.ftruncate(self._image, size + -size % _PAGE)

    def _copy(self, parts: Parts, at: int) -> int:
        """Copy a lower layer's file to this place in the image; return its end."""
        found = self._view.lookup(parts)
        assert isinstance(found, Found)
        source = os.open(found.name, _READ, dir_fd=found.directory)
        try:
            os.lseek(self._image, at, os.SEEK_SET)
            while copied := os.sendfile(self._image, source, None, 1 << 24):
                at += copied
        finally:
            os.close(source)
        return at

    def _spread(
        self, node: int, segments: tuple[tuple[int, int], ...], end: int
    ) -> tuple[Chunks, int]:
        """Copy a sparse file's pieces to where they can be mapped; return the map, and the end."""
        size, source = self._tree.sizes[node], ARCHIVE + self._tree.offsets[node]
        bits = next((bits for bits in _CHUNK_BITS if size >> bits < _CHUNKS_MAX), 0)
        count = -(-size // (1 << bits)) if bits else 0
        self._chunks += count
        if not bits or self._chunks > _CHUNKS_TOTAL:
            raise Unsuitable(f"sparse files of {self._chunks} chunks")
        blocks = array("I", [HOLE]) * count
        for at, length in segments:
            while length:
                number, within = divmod(at, 1 << bits)
                step = min(length, (1 << bits) - within)
                if blocks[number] == HOLE:
                    if end // BLOCK + (1 << bits) // BLOCK >= HOLE:
                        raise Unsuitable(f"an image of {end} bytes")
                    blocks[number] = end // BLOCK
                    end += 1 << bits
                piece = os.pread(self._image, step, source)
                os.lseek(self._image, blocks[number] * BLOCK + within, os.SEEK_SET)
                stream.write_all(self._image, piece)
                at, length, source = at + step, length - step, source + step
        return Chunks(bits, blocks), end
