"""What every way to keep a layer ready has in common.

A layer on disk is shared by every image that has it. Its key is its diff id, unless what was
unpacked depended on the layers below (it omits a parent directory, or links to a file of a lower
layer): then it is only right on that stack, and its key is the stack's chain id.
"""

import functools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from engine.images.layers.tree import Tree
from engine.images.tar import Limits
from engine.linux.namespace import in_user_namespace

# How overlayfs says "deleted here" and "nothing of below shows through" (overlayfs.rst, "whiteouts
# and opaque directories").
WHITEOUT_DEVICE = os.makedev(0, 0)
FS = "fs"


@functools.cache
def unprivileged() -> bool:
    """Whether we are root of a user namespace alone. Asked once: who is fenced in cannot ask."""
    return in_user_namespace()


@functools.cache
def opaque() -> bytes:
    """The attribute that cuts a directory off from those below. In a user namespace it is one that
    overlay heeds with `userxattr`: trusted.* takes the machine's root."""
    return b"user.overlay.opaque" if unprivileged() else b"trusted.overlay.opaque"


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a driver found out while it made a layer ready.

    `size` is the bytes of its files, `archive` those of the archive where it was kept; `tree` is
    what it holds, of which the index is made.
    """

    entries: int
    size: int
    dependent: bool
    tree: Tree
    archive: int = 0


class LayerDriver(Protocol):
    """Makes a layer's tar stream ready to be one lower directory of an overlay."""

    def write(
        self, chunks: Iterable[bytes], layer: Path, below: Sequence[Path], limits: Limits
    ) -> Unpacked:
        """Fill the new folder `layer`; `below` are the lower layers' trees, top first.

        The layer's tree is then `fs` in it, or an image to be mounted there. Raise BadLayer when
        the archive is damaged or hostile, ImageError when the disk refuses; what is then in the
        folder is unusable.
        """
        ...
