"""The root of a bundle: a plain directory, made a mount of its own that pivot_root(2) can take."""

from __future__ import annotations

import errno
import os

from engine.linux.flags import MNT, MS
from engine.linux.mount import mount, pivot_root, umount2
from engine.runtime.oci.mounting import attach
from engine.runtime.oci.options import PROPAGATIONS
from engine.runtime.ops import rootfd
from engine.runtime.ops.base import Context, Op, quoted, shown
from engine.runtime.ops.rootfs import PivotRoot


class Propagation(Op):
    """How mounts travel between the machine and every mount that there is in our copy of its tree.

    `word`: "rprivate", "rslave", "rshared", ...
    """

    NAME = "propagation"
    PHASE = "rootfs"
    word: str

    @property
    def about(self) -> str:
        return f"{self.word} /"

    def apply(self, context: Context) -> None:
        mount(None, b"/", None, MS.REC | PROPAGATIONS[self.word])

    def describe(self) -> str:
        return f"make every mount of the tree {self.word.removeprefix('r')}"

    def shell(self) -> str:
        return f"mount --make-{self.word} /"


class BindRoot(Op):
    NAME = "bind-root"
    PHASE = "rootfs"
    path: bytes

    @property
    def about(self) -> str:
        return shown(self.path)

    def apply(self, context: Context) -> None:
        tree = rootfd.copy_of(self.path, b"", recursive=True)
        # What is mounted on a shared mount appears on the machine, and pivot_root() refuses it.
        _make_private(self.path)
        target = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        attach(tree, target, MS.PRIVATE)
        context.root = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def describe(self) -> str:
        return f"make {shown(self.path)} a mount of its own"

    def shell(self) -> str:
        return f"mount --rbind {quoted(self.path)} {quoted(self.path)}"


def _make_private(path: bytes) -> None:
    """The mount, in our copy of the tree, that `path` lies on."""
    path = os.path.realpath(path)
    while True:
        try:
            mount(None, path, None, MS.PRIVATE)
            return
        except OSError as error:
            # Not where something is mounted.
            if error.errno != errno.EINVAL or path == b"/":
                raise
            path = os.path.dirname(path)


class LeaveTree(PivotRoot):
    """Where mounts may be shared with the machine: it is not to lose those that we let go of."""

    NAME = "leave-tree"

    def apply(self, context: Context) -> None:
        old = os.open(b"/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        os.fchdir(context.root)
        pivot_root(b".", b".")
        os.fchdir(old)
        os.close(old)
        mount(None, b".", None, MS.SLAVE | MS.REC)
        umount2(b".", MNT.DETACH)
        os.chdir(b"/")


class RootPropagation(Op):
    """Once it is the root: pivot_root() would not take a shared one."""

    NAME = "root-propagation"
    PHASE = "rootfs"
    word: str

    @property
    def about(self) -> str:
        return self.word

    def apply(self, context: Context) -> None:
        mount(None, b"/", None, PROPAGATIONS[self.word])

    def describe(self) -> str:
        return f"make the root filesystem {self.word.removeprefix('r')}"

    def shell(self) -> str:
        return f"mount --make-{self.word} /"
