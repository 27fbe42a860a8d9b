"""Mounting layers' images: how this machine can, and where they are mounted.

A mount that one process reads is detached: it has no name, and goes with its descriptor, however
the process ends. Containers need names: each layer's `fs`, in this process's mount namespace and in
those of its keepers. An engine has a namespace of its own, so the machine's mount table stays as it
was, and what is mounted goes with the engine and its keepers, whatever ends them.

Other processes mount where they are. Each holds `locks/mounts-<namespace>`, shared, while it needs
a layer; the last to let go unmounts, after a crash the next one's last.
"""

import fcntl
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from engine.images.layers.base import FS
from engine.images.layers.erofs import IMAGE
from engine.images.staging import locked
from engine.linux import loop
from engine.linux.flags import AT_FDCWD, MNT, MOUNT_ATTR, OPEN_TREE
from engine.linux.mount import (
    fsconfig_create,
    fsconfig_set_flag,
    fsconfig_set_string,
    fsmount,
    fsopen,
    move_mount,
    open_tree,
    umount2,
)
from engine.linux.mountns import in_mount_namespace

_Mount = tuple[int, int, int]
Way = Callable[[int], int]
_ATTRIBUTES = MOUNT_ATTR.RDONLY | MOUNT_ATTR.NODEV | MOUNT_ATTR.NOSUID
_SELF = "/proc/self/ns/mnt"


def _configured(source: bytes, *flags: bytes) -> int:
    context = fsopen(b"erofs")
    try:
        fsconfig_set_string(context, b"source", source)
        for flag in (b"ro", *flags):
            fsconfig_set_flag(context, flag)
        fsconfig_create(context)
        return fsmount(context, _ATTRIBUTES)
    finally:
        os.close(context)


def by_file(image: int) -> int:
    """The detached mount of an open image, which the kernel reads itself: Linux 6.12."""
    return _configured(b"/proc/self/fd/%d" % image)


def by_file_directly(image: int) -> int:
    """As by_file(), past the image's own page cache: else all that is read is cached twice."""
    return _configured(b"/proc/self/fd/%d" % image, b"directio")


def by_loop(image: int) -> int:
    """The detached mount of an open image through a loop device."""
    device, path = loop.attach(image, b"podarium layer")
    try:
        return _configured(path)
    finally:
        os.close(device)


WAYS: dict[str, Way] = {
    "by file, directly": by_file_directly,
    "by file": by_file,
    "by loop device": by_loop,
}


def open_image(layer: Path, way: Way) -> int:
    """The descriptor of a detached mount of a layer's image. Raise OSError."""
    image = os.open(layer / IMAGE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return way(image)
    finally:
        os.close(image)


@contextmanager
def trees(layers: Sequence[Path], way: Way | None) -> Iterator[list[Path]]:
    """The layers' trees, to be read by this process alone while the context lasts."""
    with ExitStack() as stack:
        found = []
        for layer in layers:
            if way is None or not (layer / IMAGE).exists():
                found.append(layer / FS)
                continue
            descriptor = open_image(layer, way)
            stack.callback(os.close, descriptor)
            found.append(Path(f"/proc/self/fd/{descriptor}"))
        yield found


class LayerMounts:
    """The mounts with names of the layers in `folder`. Safe to use from several threads."""

    def __init__(self, folder: Path, locks: Path) -> None:
        self._folder = folder
        self._turn = locks / "mounting"
        # A lock is the same in every namespace, a mount is not.
        self._users = locks / f"mounts-{os.stat(_SELF).st_ino}"
        self._let_go: Callable[[], object] | None = None
        self._there: dict[int, set[_Mount]] = {}  # by keeper

    def need(self, layers: Sequence[Path], way: Way, keeper: int | None = None) -> None:
        """Have these layers' images mounted, here and where a keeper's containers begin.

        Raise OSError, ProcessLookupError when the keeper has ended.
        """
        there = None if keeper is None else self._there.get(keeper, set())
        mounts = [_mounted(layer) for layer in layers]
        if (
            self._let_go is not None
            and None not in mounts
            and (there is None or there.issuperset(mounts))
        ):
            return
        with locked(self._turn):
            self._hold()
            for layer in layers:
                if _mounted(layer) is None:
                    descriptor = open_image(layer, way)
                    try:
                        move_mount(descriptor, b"", AT_FDCWD, os.fsencode(layer / FS))
                    finally:
                        os.close(descriptor)
            if keeper is not None:
                self._copy(layers, keeper)
                known = {mount for layer in layers if (mount := _mounted(layer)) is not None}
                self._there[keeper] = self._there.get(keeper, set()) | known

    def drop(self, layer: Path) -> None:
        """Unmount a layer that is to go. In other namespaces the kernel does when it is removed."""
        with locked(self._turn):
            _unmount([layer])

    def close(self) -> None:
        """Unmount what nobody else in this namespace needs; at the latest done when this goes."""
        with locked(self._turn):
            self._hold()
        assert self._let_go is not None
        self._let_go()
        self._let_go = None

    def _hold(self) -> None:
        if self._let_go is None:
            held = os.open(self._users, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(held, fcntl.LOCK_SH)
            self._let_go = weakref.finalize(self, _release, held, self._turn, self._folder)

    def _copy(self, layers: Sequence[Path], keeper: int) -> None:
        copies = {}
        try:
            for layer in layers:
                target = os.fsencode(layer / FS)
                copies[target] = open_tree(AT_FDCWD, target, OPEN_TREE.CLONE)

            def attach() -> None:
                for target, copy in copies.items():
                    if not os.path.ismount(target):  # a keeper begins with what there was
                        move_mount(copy, b"", AT_FDCWD, target)

            in_mount_namespace(keeper, attach)
        finally:
            for copy in copies.values():
                os.close(copy)


def _release(held: int, turn: Path, folder: Path) -> None:
    try:
        with locked(turn):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _unmount(folder.iterdir())
    except BlockingIOError:
        pass  # the other one will
    except FileNotFoundError:
        pass  # somebody removed the store
    finally:
        os.close(held)


def _mounted(layer: Path) -> _Mount | None:
    """Which mount is on a layer's `fs`; None when there is none."""
    tree, folder = os.stat(layer / FS), os.stat(layer)
    if tree.st_dev == folder.st_dev:
        return None
    return tree.st_dev, folder.st_ino, folder.st_ctime_ns


def _unmount(layers: Iterable[Path]) -> None:
    for layer in layers:
        while os.path.ismount(layer / FS):
            umount2(os.fsencode(layer / FS), MNT.DETACH | MNT.NOFOLLOW)
