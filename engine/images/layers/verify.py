"""Is a ready layer still what was made?"""

import hashlib
import os
import stat
from pathlib import Path

from engine.images import stream
from engine.images.errors import ImageError
from engine.images.layers.attributes import NODES
from engine.images.layers.erofs import IMAGE
from engine.images.layers.erofsimage import ARCHIVE
from engine.images.layers.index import LayerIndex
from engine.images.layers.tree import Flag
from engine.images.layers.view import StackView
from engine.images.tar import DIRECTORY, FILE, HARDLINK, SYMLINK
from engine.images.types import Digest

_KINDS = {FILE: stat.S_IFREG, DIRECTORY: stat.S_IFDIR, SYMLINK: stat.S_IFLNK, **NODES}


def verify_archive(layer: Path, diff_id: Digest, length: int) -> None:
    """Raise ImageError when the archive in a layer's image is another one."""
    hasher = hashlib.sha256()
    descriptor = os.open(layer / IMAGE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.lseek(descriptor, ARCHIVE, os.SEEK_SET)
        for chunk in stream.limited(stream.read(descriptor), length):
            hasher.update(chunk)
    finally:
        os.close(descriptor)
    if hasher.hexdigest() != diff_id.hex:
        raise ImageError(f"its archive has digest sha256:{hasher.hexdigest()}, not {diff_id}")


def verify_tree(folder: Path, index: LayerIndex) -> None:
    """Raise ImageError naming the first file that is not as the index says."""
    with StackView([folder]) as view:
        for parts, entry in index.walk():
            # A link's file has a name of its own; a view does not show whiteouts.
            if entry.kind == HARDLINK or not parts or entry.flags & Flag.WHITEOUT:
                continue
            found = view.lookup(parts)
            status = found.status if found else None
            kind = stat.S_IFMT(status.st_mode) if status else 0
            same = status is not None and kind == _KINDS[entry.kind]
            if status is not None and entry.kind == FILE:
                same = same and status.st_size == entry.size
            if not same or (status is not None and status.st_mtime_ns != entry.mtime):
                name = os.fsdecode(b"/".join(parts))
                raise ImageError(f"/{name!r:.200}: is not as it was unpacked")
