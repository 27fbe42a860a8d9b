"""What a bundle mounts over its root; every target is a descriptor below that root."""

from __future__ import annotations

import errno
import os
import stat

from engine.linux.flags import AT, MOUNT_ATTR, MOVE_MOUNT, MS
from engine.linux.mount import mount, mount_setattr, move_mount
from engine.runtime.oci import mapping
from engine.runtime.oci.copyup import copy_up
from engine.runtime.ops import rootfd
from engine.runtime.ops.base import Context, Op, quoted, shown

# What may be shown in /proc by name: answers about the container that lxcfs and its like give.
_ANSWERS = frozenset(
    b"/proc/" + name
    for name in (
        b"cpuinfo",
        b"diskstats",
        b"loadavg",
        b"meminfo",
        b"net/dev",
        b"slabinfo",
        b"stat",
        b"swaps",
        b"sys/crypto/fips_enabled",
        b"sys/kernel/ns_last_pid",
        b"uptime",
    )
)


def open_target(root: int, path: bytes, *, folder: bool) -> int:
    """Where to mount: made where missing, and never by way of a symlink into /proc."""
    if path in _ANSWERS:
        return rootfd.find(root, path, symlinks=False)
    target = rootfd.directory(root, path) if folder else rootfd.file(root, path)
    rootfd.refuse_proc(root, target, path)
    return target


def attach(tree: int, target: int, propagation: int) -> None:
    """Attach a detached mount, say how mounts on it travel, and close both descriptors."""
    try:
        move_mount(tree, b"", target, b"", MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.T_EMPTY_PATH)
        if propagation:
            recursive = AT.RECURSIVE if propagation & MS.REC else 0
            flags = AT.EMPTY_PATH | recursive
            mount_setattr(tree, b"", flags, propagation=propagation & ~MS.REC)
    finally:
        os.close(tree)
        os.close(target)


class BindMount(Op):
    """A file or directory of the machine. The attributes of its source are kept unless named.

    set_all, clear_all are for every mount below too.
    """

    NAME = "bind"
    PHASE = "mounts"
    source: bytes
    target: bytes
    recursive: bool
    set: int
    clear: int
    set_all: int
    clear_all: int
    propagation: int

    @property
    def about(self) -> str:
        return f"{shown(self.source)} on {shown(self.target)}"

    def apply(self, context: Context) -> None:
        tree = self._tree(context)
        if self.set or self.clear:
            mount_setattr(tree, b"", AT.EMPTY_PATH, attr_set=self.set, attr_clr=self.clear)
        if self.set_all or self.clear_all:
            every = AT.EMPTY_PATH | AT.RECURSIVE
            mount_setattr(tree, b"", every, attr_set=self.set_all, attr_clr=self.clear_all)
        folder = stat.S_ISDIR(os.fstat(tree).st_mode)
        if self.target == b"/proc":
            # With the machine's pid namespace, the machine's own view of it.
            target = rootfd.directory(context.root, self.target, symlinks=False)
        else:
            target = open_target(context.root, self.target, folder=folder)
        attach(tree, target, self.propagation)

    def _tree(self, context: Context) -> int:
        return rootfd.copy_of(self.source, b"", recursive=self.recursive)

    def describe(self) -> str:
        access = "read-only" if (self.set | self.set_all) & MOUNT_ATTR.RDONLY else "read-write"
        return f"show {shown(self.source)} at {shown(self.target)}, {access}"

    def shell(self) -> str:
        how = "--rbind" if self.recursive else "--bind"
        return f"mount {how} {quoted(self.source)} ROOT{quoted(self.target)}"


class MapMount(Op):
    """A detached mount for MappedBind, made by who has a right to the filesystem: in a user
    namespace of the container's nobody has. Ids are (first on it, first seen, how many) each, or
    those of the user namespace at `namespace`. `every`: of what is mounted below too."""

    NAME = "map-mount"
    PHASE = "mounts"
    source: bytes
    target: bytes
    recursive: bool
    every: bool
    uids: tuple[tuple[int, int, int], ...]
    gids: tuple[tuple[int, int, int], ...]
    namespace: bytes

    @property
    def about(self) -> str:
        return f"{shown(self.source)} for {shown(self.target)}"

    def apply(self, context: Context) -> None:
        if self.namespace:
            user = os.open(self.namespace, os.O_RDONLY | os.O_CLOEXEC)
        else:
            user = mapping.namespace(self.uids, self.gids)
        tree = rootfd.copy_of(self.source, b"", recursive=self.recursive)
        flags = AT.EMPTY_PATH | (AT.RECURSIVE if self.every else 0)
        try:
            mount_setattr(tree, b"", flags, attr_set=MOUNT_ATTR.IDMAP, userns_fd=user)
        except OSError as error:
            os.close(tree)
            raise OSError(error.errno, error.strerror, self.source) from None
        finally:
            os.close(user)
        context.trees.append(tree)

    def describe(self) -> str:
        return f"show the files of {shown(self.source)} as those of other users"

    def shell(self) -> str:
        ids = " ".join(f"{inside}:{outside}:{size}" for inside, outside, size in self.uids)
        return f"mount --bind -o X-mount.idmap={quoted(ids)} {quoted(self.source)} TREE"


class MappedBind(BindMount):
    NAME = "mapped-bind"

    def _tree(self, context: Context) -> int:
        return context.trees.pop(0)


class NewMount(Op):
    """A new filesystem. `strict`: no symlink may lead to it (CVE-2019-19921)."""

    NAME = "mount"
    PHASE = "mounts"
    fstype: bytes
    source: bytes
    target: bytes
    attributes: int
    data: tuple[tuple[bytes, bytes], ...]
    propagation: int
    strict: bool

    @property
    def about(self) -> str:
        return f"{shown(self.fstype)} on {shown(self.target)}"

    def apply(self, context: Context) -> None:
        data = ((b"source", self.source), *self.data)
        if self.fstype == b"tmpfs" and all(key != b"mode" for key, _ in self.data):
            mode = _mode(context.root, self.target)
            data += ((b"mode", mode),) if mode else ()
        if self.strict:
            target = rootfd.directory(context.root, self.target, symlinks=False)
        else:
            target = open_target(context.root, self.target, folder=True)
        if self.fstype == b"overlay":
            self._mount(target)
            return
        tree = rootfd.new_mount(self.fstype, self.attributes, data)
        attach(tree, target, self.propagation)

    def _mount(self, target: int) -> None:
        """By mount(2): layers' names do not fit the 255 bytes of fsconfig(2)."""
        data = b",".join(key + b"=" + value if value else key for key, value in self.data)
        where = b"/proc/self/fd/%d" % target
        mount(self.source, where, self.fstype, 0, data)
        mounted = os.open(where, os.O_PATH | os.O_CLOEXEC)
        if self.attributes:
            mount_setattr(mounted, b"", AT.EMPTY_PATH, attr_set=self.attributes)
        os.close(mounted)
        os.close(target)

    def describe(self) -> str:
        return f"mount {shown(self.fstype)} on {shown(self.target)}"

    def shell(self) -> str:
        words = ",".join(shown(k + b"=" + v if v else k) for k, v in self.data)
        options = f"-o {quoted(words)} " if words else ""
        source = quoted(self.source)
        return f"mount -t {shown(self.fstype)} {options}{source} ROOT{quoted(self.target)}"


def _mode(root: int, path: bytes) -> bytes:
    """Of the directory that a tmpfs will cover, which stays as open or closed as it was; b"" when
    there is none yet."""
    try:
        fd = rootfd.find(root, path)
    except FileNotFoundError:
        return b""
    mode = stat.S_IMODE(os.fstat(fd).st_mode)
    os.close(fd)
    return b"%o" % mode


class CopiedUp(NewMount):
    """A tmpfs that begins with what it covers."""

    NAME = "mount-copy"

    def apply(self, context: Context) -> None:
        there = bool(_mode(context.root, self.target))
        target = open_target(context.root, self.target, folder=True)
        tree = rootfd.new_mount(self.fstype, 0, ((b"source", self.source), *self.data))
        if there:
            copy_up(target, tree)
        if self.attributes:
            mount_setattr(tree, b"", AT.EMPTY_PATH, attr_set=self.attributes)
        attach(tree, target, self.propagation)


class OrMachines(NewMount):
    """Where a user namespace may not make a new one, the machine's: of proc, sysfs or mqueue."""

    NAME = "mount-or-bind"

    def apply(self, context: Context) -> None:
        try:
            super().apply(context)
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
            tree = rootfd.copy_of(self.target, b"", recursive=True)
            mount_setattr(tree, b"", AT.EMPTY_PATH | AT.RECURSIVE, attr_set=self.attributes)
            attach(tree, rootfd.directory(context.root, self.target, symlinks=False), 0)


class CgroupPart(Op):
    """Without a cgroup namespace: the container's directory of each tree, as (name, directory)."""

    NAME = "mount-cgroups"
    PHASE = "mounts"
    target: bytes
    attributes: int
    trees: tuple[tuple[bytes, bytes], ...]

    @property
    def about(self) -> str:
        return shown(self.target)

    def apply(self, context: Context) -> None:
        folder = rootfd.new_mount(
            b"tmpfs", self.attributes & ~MOUNT_ATTR.RDONLY, ((b"mode", b"755"),)
        )
        for name, _ in self.trees:
            os.mkdir(name, 0o755, dir_fd=folder)
        attach(folder, rootfd.directory(context.root, self.target, symlinks=False), 0)
        for name, directory in self.trees:
            tree = rootfd.copy_of(directory, b"", recursive=False)
            mount_setattr(tree, b"", AT.EMPTY_PATH, attr_set=self.attributes)
            where = os.path.join(self.target, name)
            attach(tree, rootfd.directory(context.root, where, symlinks=False), 0)
        fd = rootfd.directory(context.root, self.target, symlinks=False)
        mount_setattr(fd, b"", AT.EMPTY_PATH, attr_set=self.attributes)
        os.close(fd)

    def describe(self) -> str:
        return f"show the container its part of the machine's cgroups at {shown(self.target)}"

    def shell(self) -> str:
        return "; ".join(
            f"mount --bind {quoted(directory)} ROOT{quoted(os.path.join(self.target, name))}"
            for name, directory in self.trees
        )
