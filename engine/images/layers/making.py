"""Making one layer: from a blob's bytes, whatever they are packed with, to a folder that is ready.

Everything that a stranger's bytes pass through is here; so this is what runs apart (see apart.py).
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.images import stream
from engine.images.errors import ImageError
from engine.images.layers.base import LayerDriver
from engine.images.layers.dir import DirDriver
from engine.images.layers.erofs import ErofsDriver
from engine.images.layers.index import NAME, write_index
from engine.images.layers.tree import ROOT
from engine.images.tar import Limits
from engine.images.types import Digest

DRIVERS: dict[str, LayerDriver] = {"dir": DirDriver(), "erofs": ErofsDriver(DirDriver())}
_LOOK = 64 << 20  # bytes between two looks at the disk


@dataclass(frozen=True, slots=True)
class Job:
    """A layer to be made in the new folder `layer`, by a driver's name, over the trees `below`."""

    driver: str
    layer: Path
    below: Sequence[Path]
    diff_id: Digest
    limits: Limits


@dataclass(frozen=True, slots=True)
class Made:
    """What was found out about a layer (see Unpacked). `opaque` says that nothing of the layers
    below shows: on its root overlayfs does not heed the mark, so the stack ends with it."""

    entries: int
    size: int
    dependent: bool
    opaque: bool
    archive: int


def make(job: Job, packed: Iterable[bytes]) -> Made:
    """Raise BadLayer, or ImageError when the disk refuses."""
    growth = stream.Expansion()
    inflated = growth.plain(stream.inflated(growth.packed(packed), "blob"))
    plain = stream.verified_diff(stream.ahead(inflated), job.diff_id)
    done = DRIVERS[job.driver].write(
        _while_there_is_room(plain, job), job.layer, job.below, job.limits
    )
    try:
        write_index(done.tree, job.layer / NAME)
    except OSError as error:
        raise ImageError(f"its index: {error.strerror}") from error
    opaque = done.tree.is_opaque(ROOT)
    return Made(done.entries, done.size, done.dependent, opaque, done.archive)


def _while_there_is_room(chunks: Iterable[bytes], job: Job) -> Iterator[bytes]:
    came = 0
    for chunk in chunks:
        came += len(chunk)
        if came >= _LOOK:
            came = 0
            disk = os.statvfs(job.layer)
            if disk.f_bavail * disk.f_frsize < job.limits.reserve:
                raise ImageError(f"no space left: less than {job.limits.reserve} bytes are free")
        yield chunk
