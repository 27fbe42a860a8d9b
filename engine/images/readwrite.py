"""A container's read-write layer as a layer of an image (layer.md, "Representing Changes").

Overlayfs' marks become the specification's: a whiteout is the character device 0:0 there and an
empty file `.wh.NAME` here, an opaque directory an attribute there and `.wh..wh..opq` here. What
deletes or covers only mount points of ours says nothing about the image, and is left out.
"""

import os
import stat
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from engine.images.errors import ImageError
from engine.images.layers.base import WHITEOUT_DEVICE, opaque
from engine.images.layers.view import Found, StackView
from engine.images.tar import FILE, Entry, Parts
from engine.images.tarwriter import Writer
from engine.images.walk import Packer, walk

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_USER_OPAQUE = b"user.overlay.opaque"  # without root (overlayfs.rst, "userxattr")
WHITEOUT = b".wh."
OPAQUE_MARK = b".wh..wh..opq"
_ROOT = (stat.S_IFDIR | 0o755, 0, 0)  # as create_rootfs() makes every upper directory


def write_layer(
    upper: Path,
    layers: Sequence[Path],
    write: Callable[[bytes], object],
    *,
    stubs: Collection[Parts] = (),
    clamp: int | None = None,
) -> int:
    """Write what `upper` changes of the image's ready `layers`, top first; return how many members.

    `stubs` are places where something was mounted that the image does not have: an empty file or
    directory that is there now is ours, not the container's. Raise ImageError for a name that a
    layer cannot hold.
    """
    writer = Writer(write)
    with StackView(layers) as view:
        packer = Packer(writer, clamp=clamp)
        _Layer(view, packer, stubs).run(upper)
    writer.close()
    return packer.entries


class _Layer:
    def __init__(self, view: StackView, packer: Packer, stubs: Collection[Parts]) -> None:
        self._view = view
        self._packer = packer
        self._stubs = frozenset(stubs)
        self._ways = frozenset(s[:depth] for s in stubs for depth in range(1, len(s)))
        self._held: list[tuple[Parts, Found]] = []  # directories written only if something is in

    def run(self, upper: Path) -> None:
        root = os.open(upper, _DIRECTORY)
        try:
            status = os.fstat(root)
            if _attributes(status) != _ROOT:
                self._packer.add((), Found(root, b".", status))
            if self._opaque((), root):
                self._mark((OPAQUE_MARK,))
            for parts, found in walk(root):
                self._add(parts, found)
        finally:
            for _, found in self._held:
                os.close(found.directory)
            os.close(root)

    def _add(self, parts: Parts, found: Found) -> None:
        mode, name = found.status.st_mode, parts[-1]
        if stat.S_ISCHR(mode) and found.status.st_rdev == WHITEOUT_DEVICE:
            if self._view.lookup(parts) is not None:
                self._mark((*parts[:-1], WHITEOUT + name))
            return
        if name.startswith(WHITEOUT):
            where = os.fsdecode(b"/".join(parts))
            raise ImageError(f"/{where}: a layer cannot hold names that begin with '.wh.'")
        if stat.S_ISDIR(mode):
            self._directory(parts, found)
        elif not (parts in self._stubs and stat.S_ISREG(mode) and not found.status.st_size):
            self._lead(parts)
            self._packer.add(parts, found)

    def _directory(self, parts: Parts, found: Found) -> None:
        if self._is_way(parts, found):
            kept = Found(os.dup(found.directory), found.name, found.status)
            self._lead(parts, write=False)
            self._held.append((parts, kept))
            return
        self._lead(parts)
        self._packer.add(parts, found)
        try:
            descriptor = os.open(found.name, _DIRECTORY, dir_fd=found.directory)
        except OSError:
            return  # gone, or another by now
        try:
            if self._opaque(parts, descriptor):
                self._mark((*parts, OPAQUE_MARK))
        finally:
            os.close(descriptor)

    def _is_way(self, parts: Parts, found: Found) -> bool:
        if parts in self._stubs:
            return True
        if parts not in self._ways:
            return False
        below = self._view.lookup(parts)
        return below is None or _attributes(below.status) == _attributes(found.status)

    def _lead(self, parts: Parts, *, write: bool = True) -> None:
        """Of the directories held back write those on the way to this; the others hold nothing."""
        on_the_way = [item for item in self._held if parts[: len(item[0])] == item[0]]
        for item in self._held:
            if item not in on_the_way or write:
                if write and item in on_the_way:
                    self._packer.add(*item)
                os.close(item[1].directory)
        self._held = [] if write else on_the_way

    def _opaque(self, parts: Parts, descriptor: int) -> bool:
        """Whether it hides what the image has there."""
        marked = any(_attribute(descriptor, name) == b"y" for name in (opaque(), _USER_OPAQUE))
        if not marked:
            return False
        below = self._view.lookup(parts)
        return below is not None and stat.S_ISDIR(below.status.st_mode)

    def _mark(self, parts: Parts) -> None:
        self._lead(parts)
        self._packer.write(Entry(parts, FILE, 0o600))


def _attributes(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_mode, status.st_uid, status.st_gid


def _attribute(descriptor: int, name: bytes) -> bytes:
    try:
        return os.getxattr(descriptor, name)
    except OSError:
        return b""


def mount_points(layers: Sequence[Path], destinations: Iterable[str]) -> set[Parts]:
    """Where a container's mounts are, links of the image followed, as far as it has no such place.

    Their parents that are missing, too, belong to them.
    """
    found: set[Parts] = set()
    with StackView(layers) as view:
        for destination in destinations:
            parts = tuple(p for p in os.fsencode(destination).split(b"/") if p not in (b"", b"."))
            place = view.resolve(parts)
            while place and view.lookup(place) is None:
                found.add(place)
                place = place[:-1]
    return found


def export(
    upper: Path,
    layers: Sequence[Path],
    write: Callable[[bytes], object],
    *,
    stubs: Collection[Parts] = (),
) -> int:
    """Write the whole root filesystem, as the container sees it without its mounts.

    What is at `stubs`, where something is mounted, is ours.
    """
    writer = Writer(write)
    packer = Packer(writer)
    with StackView([upper, *layers]) as view:
        pending: list[Parts] = [()]
        while pending:
            parts = pending.pop()
            below = [(*parts, name) for name in view.names(parts)]
            found = view.lookup(parts)
            if found is None:
                continue
            if parts in stubs and all(inner in stubs for inner in below):
                continue
            packer.add(parts, found)
            pending += reversed(below)
    writer.close()
    return packer.entries
