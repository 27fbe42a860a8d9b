"""The root filesystem: layers joined into one tree, then made the only tree there is."""

from __future__ import annotations

import errno
import os

from engine.linux.flags import AT_FDCWD, MNT, MOUNT_ATTR, MS
from engine.linux.mount import (
    fsconfig_create,
    fsconfig_set_flag,
    fsconfig_set_string,
    fsmount,
    fsopen,
    mount,
    mount_setattr,
    pivot_root,
    umount2,
)
from engine.runtime.ops import rootfd
from engine.runtime.ops.base import Context, Op, quoted, shown


class PrivateMounts(Op):
    NAME = "private-mounts"
    PHASE = "rootfs"

    @property
    def about(self) -> str:
        return "/"

    def apply(self, context: Context) -> None:
        mount(None, b"/", None, MS.REC | MS.PRIVATE)

    def describe(self) -> str:
        return "keep every mount made from here on to ourselves"

    def shell(self) -> str:
        return "mount --make-rprivate /"


# `volatile` saves a sync of the whole upper filesystem when the container ends (4 ms, up to 12):
# what a container wrote does not outlive a crash of the machine, nor need it. The other two are off
# so that a hostile upper cannot redirect a path to another directory of its layers.
_OPTIONS = ((b"volatile", b""), (b"redirect_dir", b"off"), (b"metacopy", b"off"))
# With user.* attributes, which anyone may set, both are off of themselves (overlayfs.rst).
_USER_OPTIONS = ((b"volatile", b""), (b"userxattr", b""))
_PAGE = 4095


class Overlay(Op):
    """`lowers` are the read-only layers, the uppermost first. `append` tells how they are named:
    one by one (lowerdir+, Linux 6.7), or in one string that must fit a page. `userxattr`: whether
    opaque directories are marked by user.* attributes; trusted.* ones take the machine's root."""

    NAME = "overlay"
    PHASE = "rootfs"
    lowers: tuple[bytes, ...]
    upper: bytes
    work: bytes
    append: bool
    userxattr: bool = False

    @property
    def about(self) -> str:
        return f"{len(self.lowers)} layers"

    def apply(self, context: Context) -> None:
        # Over its own upper directory: a place that is surely there, and that only this mount
        # namespace sees covered.
        if self.append:
            rootfd.attach(self._detached(), os.open(self.upper, os.O_PATH | os.O_CLOEXEC))
        else:
            self._mount()
        context.root = os.open(self.upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def renew(self) -> None:
        """Once it is unmounted, let its upper layer be used again. The kernel would refuse: after a
        crash a volatile one may lack what was written. No program has run in this one."""
        mark = os.path.join(self.work, b"work/incompat/volatile")
        if os.path.exists(mark):
            os.unlink(os.path.join(mark, b"dirty"))
            os.rmdir(mark)

    def _detached(self) -> int:
        fs = fsopen(b"overlay")
        try:
            fsconfig_set_string(fs, b"source", b"overlay")
            for layer in self.lowers:
                fsconfig_set_string(fs, b"lowerdir+", layer)
            fsconfig_set_string(fs, b"upperdir", self.upper)
            fsconfig_set_string(fs, b"workdir", self.work)
            for key, value in self._options():
                if value:
                    fsconfig_set_string(fs, key, value)
                else:
                    fsconfig_set_flag(fs, key)
            fsconfig_create(fs)
            return fsmount(fs, MOUNT_ATTR.NODEV)
        finally:
            os.close(fs)

    def _options(self) -> tuple[tuple[bytes, bytes], ...]:
        return _USER_OPTIONS if self.userxattr else _OPTIONS

    def _mount(self) -> None:
        """mount(2) takes one page: the layers are named from the directory that they share."""
        base = os.path.commonpath([os.path.dirname(layer) for layer in self.lowers])
        os.chdir(base)
        data = self._data(tuple(os.path.relpath(layer, base) for layer in self.lowers))
        if len(data) > _PAGE:
            text = f"{len(self.lowers)} layers are more than this kernel can name (Linux 6.7 can)"
            raise OSError(errno.E2BIG, text, self.upper)
        try:
            mount(b"overlay", self.upper, b"overlay", MS.NODEV, data)
        except FileNotFoundError:
            for folder in (*self.lowers, self.upper, self.work):
                os.stat(folder)
            raise

    def _data(self, lowers: tuple[bytes, ...]) -> bytes:
        options = [
            b"lowerdir=" + b":".join(_escaped(layer, b"\\:,") for layer in lowers),
            b"upperdir=" + _escaped(self.upper, b"\\,"),
            b"workdir=" + _escaped(self.work, b"\\,"),
        ]
        options += [key + b"=" + value if value else key for key, value in self._options()]
        return b",".join(options)

    def describe(self) -> str:
        return (
            f"join {len(self.lowers)} read-only layers and the read-write layer"
            f" {shown(self.upper)} into one root filesystem"
        )

    def shell(self) -> str:
        return f"mount -t overlay -o nodev,{quoted(self._data(self.lowers))} overlay ROOT"


def _escaped(path: bytes, special: bytes) -> bytes:
    return b"".join(b"\\" + bytes([c]) if c in special else bytes([c]) for c in path)


class ReadOnlyRoot(Op):
    NAME = "read-only-root"
    PHASE = "rootfs"

    @property
    def about(self) -> str:
        return "/"

    def apply(self, context: Context) -> None:
        os.fchdir(context.root)
        mount_setattr(AT_FDCWD, b".", 0, attr_set=MOUNT_ATTR.RDONLY)

    def describe(self) -> str:
        return "make the root filesystem read-only; what is mounted over it stays as it is"

    def shell(self) -> str:
        return "mount -o remount,bind,ro ROOT"


class PivotRoot(Op):
    NAME = "pivot-root"
    PHASE = "rootfs"

    @property
    def about(self) -> str:
        return "/"

    def apply(self, context: Context) -> None:
        os.fchdir(context.root)
        # The old root ends up under the new one, where it is let go: no directory for it is needed.
        pivot_root(b".", b".")
        umount2(b".", MNT.DETACH)
        os.chdir(b"/")

    def describe(self) -> str:
        return "make it the root and let go of the machine's tree"

    def shell(self) -> str:
        return "cd ROOT && pivot_root . . && umount -l ."


class Workdir(Op):
    """Made when missing, as Docker does. Magic links are refused: CVE-2024-21626 was a working
    directory of /proc/self/fd/N, a descriptor of the machine's tree that was still open."""

    NAME = "workdir"
    PHASE = "confine"
    path: bytes

    @property
    def about(self) -> str:
        return shown(self.path)

    def apply(self, context: Context) -> None:
        root = os.open(b"/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        fd = rootfd.directory(root, self.path)
        os.fchdir(fd)
        os.close(fd)
        os.close(root)

    def describe(self) -> str:
        return f"work in {shown(self.path)}"

    def shell(self) -> str:
        return f"mkdir -p {quoted(self.path)} && cd {quoted(self.path)}"
