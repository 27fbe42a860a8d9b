"""Which driver makes layers ready on this machine, in this folder: found by trying.

A small layer is made and mounted, in every way there is until one gives back what went in: its
files' bytes (one begins at an odd block, which a disk of large sectors may not read directly), a
whiteout and an opaque directory.
"""

import errno
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engine.images.errors import ImageError
from engine.images.layers.base import opaque
from engine.images.layers.making import DRIVERS
from engine.images.layers.mounts import WAYS, Way, open_image
from engine.images.staging import staging
from engine.images.tar import DIRECTORY, FILE, Entry, Limits
from engine.images.tarwriter import Writer

_BODIES = {b"first": b"1" * 700, b"second": b"2" * 5000}
WANTED = ("auto", *DRIVERS)


@dataclass(frozen=True, slots=True)
class Choice:
    """A driver by name, how its images are mounted (None: it has none), and why it is this one."""

    name: str
    way: Way | None
    why: str


def choose(tmp: Path, wanted: str = "auto") -> Choice:
    """The best driver for a store whose `tmp` this is. Raise ImageError when the one that is
    `wanted` cannot be."""
    if wanted == "dir":
        return Choice("dir", None, "asked for")
    refusals = []
    try:
        with staging(tmp) as folder:
            layer = folder / "layer"
            layer.mkdir()
            DRIVERS["erofs"].write([_probe()], layer, [], Limits())
            for name, way in WAYS.items():
                try:
                    _see(open_image(layer, way))
                except OSError as error:
                    refusals.append(f"{name}: {error.strerror}")
                else:
                    return Choice("erofs", way, f"mounted {name}")
    except ImageError as error:
        refusals.append(str(error))
    why = "EROFS cannot be mounted: " + "; ".join(refusals)
    if wanted == "erofs":
        raise ImageError(
            f"{tmp.parent}: {why}; it needs root and Linux 6.4 (without loop devices"
            " 6.12), or use the driver 'dir'"
        )
    return Choice("dir", None, why)


def _probe() -> bytes:
    out = bytearray()
    writer = Writer(out.extend)
    for name, body in _BODIES.items():
        writer.add(Entry((name,), FILE, size=len(body)), [body])
    writer.add(Entry((b"d",), DIRECTORY))
    for mark in ((b"d", b".wh..wh..opq"), (b".wh.gone",)):
        writer.add(Entry(mark, FILE))
    writer.close()
    return bytes(out)


def _see(root: int) -> None:
    """Raise OSError when a mount does not show what it should."""
    opener = partial(os.open, dir_fd=root)
    try:
        seen = True
        for name, body in _BODIES.items():
            with open(os.fsdecode(name), "rb", opener=opener) as file:
                seen = seen and file.read() == body
        folder = os.open("d", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root)
        try:
            seen = seen and os.getxattr(folder, opaque()) == b"y"
        finally:
            os.close(folder)
        mark = os.stat("gone", dir_fd=root, follow_symlinks=False)
        if not seen or mark.st_mode != 0o020000 or mark.st_rdev:
            raise OSError(errno.EIO, "what it shows is not what is there")
    finally:
        os.close(root)
