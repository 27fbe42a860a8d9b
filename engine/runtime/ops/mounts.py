"""What is mounted over the root filesystem: the kernel's filesystems, volumes, devices, masks."""

from __future__ import annotations

import errno
import os
import stat

from engine.linux.flags import AT, MOUNT_ATTR, MOVE_MOUNT, OPEN_TREE
from engine.linux.mount import move_mount, open_tree
from engine.linux.namespace import is_mapped
from engine.linux.path import openat2
from engine.runtime.ops import rootfd
from engine.runtime.ops.base import Context, Op, quoted, shown

_LOCKED = MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV | MOUNT_ATTR.NOEXEC
_WORDS = (
    (MOUNT_ATTR.RDONLY, "ro"),
    (MOUNT_ATTR.NOSUID, "nosuid"),
    (MOUNT_ATTR.NODEV, "nodev"),
    (MOUNT_ATTR.NOEXEC, "noexec"),
    (MOUNT_ATTR.NOATIME, "noatime"),
    (MOUNT_ATTR.STRICTATIME, "strictatime"),
    (MOUNT_ATTR.NODIRATIME, "nodiratime"),
    (MOUNT_ATTR.NOSYMFOLLOW, "nosymfollow"),
)


def _options(attributes: int, data: tuple[tuple[bytes, bytes], ...] = ()) -> str:
    words = [word for flag, word in _WORDS if attributes & flag]
    words += [shown(key + b"=" + value if value else key) for key, value in data]
    return f"-o {quoted(','.join(words))} " if words else ""


class Filesystem(Op):
    """A new filesystem on `target`, which is made where missing.

    `strict`: its path may hold no symlink. An image whose /proc is one could have what belongs
    there put, or later looked for, elsewhere (CVE-2019-19921).
    """

    NAME = "mount"
    PHASE = "mounts"
    fstype: bytes
    source: bytes
    target: bytes
    attributes: int
    data: tuple[tuple[bytes, bytes], ...]
    strict: bool

    @property
    def about(self) -> str:
        return f"{shown(self.fstype)} on {shown(self.target)}"

    def apply(self, context: Context) -> None:
        target = rootfd.directory(context.root, self.target, symlinks=not self.strict)
        if not self.strict:
            rootfd.check_target(context.root, target, self.target)
        # The name by which mount(8) and df(1) list it.
        data = ((b"source", self.source), *self._known())
        rootfd.attach(rootfd.new_mount(self.fstype, self.attributes, data), target)

    def _known(self) -> tuple[tuple[bytes, bytes], ...]:
        """Without gid=5 where there is no group tty, as with a single id: then terminals are
        their owner's group's, which is nobody else's either."""
        if self.fstype != b"devpts" or is_mapped(5, "gid"):
            return self.data
        return tuple(option for option in self.data if option != (b"gid", b"5"))

    def describe(self) -> str:
        return f"mount {shown(self.fstype)} on {shown(self.target)}"

    def shell(self) -> str:
        options = _options(self.attributes, self.data)
        source = quoted(self.source)
        return f"mount -t {shown(self.fstype)} {options}{source} ROOT{quoted(self.target)}"


class Bind(Op):
    """A file or directory of the machine, at `target`, which is made where missing."""

    NAME = "bind"
    PHASE = "mounts"
    source: bytes
    below: bytes
    target: bytes
    attributes: int
    recursive: bool

    @property
    def _path(self) -> bytes:
        return os.path.join(self.source, self.below) if self.below else self.source

    @property
    def about(self) -> str:
        return f"{shown(self._path)} on {shown(self.target)}"

    def apply(self, context: Context) -> None:
        tree = rootfd.copy_of(self.source, self.below, recursive=self.recursive)
        if self.attributes:
            rootfd.restrict(tree, self.attributes)
        folder = stat.S_ISDIR(os.fstat(tree).st_mode)
        make = rootfd.directory if folder else rootfd.file
        target = make(context.root, self.target)
        rootfd.check_target(context.root, target, self.target)
        rootfd.attach(tree, target)

    def describe(self) -> str:
        access = "read-only" if self.attributes & MOUNT_ATTR.RDONLY else "read-write"
        return f"show {shown(self._path)} at {shown(self.target)}, {access}"

    def shell(self) -> str:
        how = "--rbind" if self.recursive else "--bind"
        options = _options(self.attributes)
        return f"mount {how} {options}{quoted(self._path)} ROOT{quoted(self.target)}"


class CgroupView(Op):
    """The container's own cgroups: (name below `target`, fstype, options) for each tree."""

    NAME = "mount-cgroups"
    PHASE = "mounts"
    target: bytes
    attributes: int
    trees: tuple[tuple[bytes, bytes, bytes], ...]

    @property
    def about(self) -> str:
        return shown(self.target)

    def apply(self, context: Context) -> None:
        if [name for name, _, _ in self.trees] != [b""]:
            folder = rootfd.new_mount(b"tmpfs", _LOCKED, ((b"mode", b"755"),))
            for name, _, _ in self.trees:
                os.mkdir(name, 0o755, dir_fd=folder)
            self._attach(context, folder, self.target)
        for name, fstype, options in self.trees:
            data = tuple((option, b"") for option in options.split(b",") if option)
            tree = rootfd.new_mount(fstype, self.attributes, data)
            self._attach(context, tree, os.path.join(self.target, name))
        if self.attributes & MOUNT_ATTR.RDONLY:
            fd = rootfd.directory(context.root, self.target, symlinks=False)
            rootfd.restrict(fd, MOUNT_ATTR.RDONLY)
            os.close(fd)

    def _attach(self, context: Context, mount: int, target: bytes) -> None:
        rootfd.attach(mount, rootfd.directory(context.root, target, symlinks=False))

    def describe(self) -> str:
        names = ", ".join(shown(name or fstype) for name, fstype, _ in self.trees)
        return f"show the container its own cgroup at {shown(self.target)} ({names})"

    def shell(self) -> str:
        return "; ".join(
            f"mount -t {shown(fstype)} {_options(self.attributes, ((options, b''),))}"
            f"none ROOT{shown(os.path.join(self.target, name)).rstrip('/')}"
            for name, fstype, options in self.trees
        )


class Devices(Op):
    """What /dev holds.

    nodes   (name below /dev, "c" or "b", major, minor, mode, uid, gid)
    links   (name, target)
    """

    NAME = "devices"
    PHASE = "mounts"
    nodes: tuple[tuple[bytes, str, int, int, int, int, int], ...]
    links: tuple[tuple[bytes, bytes], ...]

    @property
    def about(self) -> str:
        return f"{len(self.nodes)} devices"

    def apply(self, context: Context) -> None:
        dev = openat2(context.root, b"/dev", os.O_RDONLY | os.O_DIRECTORY)
        umask = os.umask(0)
        for name, kind, major, minor, mode, uid, gid in self.nodes:
            folder, _, base = name.rpartition(b"/")
            parent = rootfd.directory(dev, folder) if folder else dev
            type_ = stat.S_IFCHR if kind == "c" else stat.S_IFBLK
            try:
                os.mknod(base, type_ | mode, os.makedev(major, minor), dir_fd=parent)
            except PermissionError:
                # In a user namespace there is no making of devices, only showing the machine's.
                _show_device(parent, base, name, type_, os.makedev(major, minor))
            else:
                if uid or gid:
                    os.chown(base, uid, gid, dir_fd=parent, follow_symlinks=False)
            if folder:
                os.close(parent)
        os.umask(umask)
        for name, target in self.links:
            os.symlink(target, name, dir_fd=dev)
        os.close(dev)

    def describe(self) -> str:
        return "make the devices " + ", ".join(shown(node[0]) for node in self.nodes)

    def shell(self) -> str:
        nodes = [
            f"mknod -m {mode:o} ROOT/dev/{shown(name)} {kind} {major} {minor}"
            for name, kind, major, minor, mode, _, _ in self.nodes
        ]
        links = [f"ln -s {shown(target)} ROOT/dev/{shown(name)}" for name, target in self.links]
        return "; ".join(nodes + links)


def _show_device(parent: int, base: bytes, name: bytes, kind: int, number: int) -> None:
    """Bind the machine's own node of that name, with the machine's owner and mode."""
    path = b"/dev/" + name
    try:
        tree = rootfd.copy_of(path, b"", recursive=False)
    except FileNotFoundError:
        text = "the machine has no such device, and to make one takes the machine's root"
        raise OSError(errno.EPERM, text, path) from None
    found = os.fstat(tree)
    if stat.S_IFMT(found.st_mode) != kind or found.st_rdev != number:
        os.close(tree)
        text = "the machine has another device there, and to make one takes the machine's root"
        raise OSError(errno.EPERM, text, path)
    os.mknod(base, stat.S_IFREG | 0o600, dir_fd=parent)
    rootfd.attach(tree, openat2(parent, base, os.O_PATH, resolve=rootfd.NO_LINKS))


class Mask(Op):
    """Files become /dev/null, directories an empty read-only tmpfs; what is missing is skipped."""

    NAME = "mask"
    PHASE = "mounts"
    paths: tuple[bytes, ...]

    @property
    def about(self) -> str:
        return f"{len(self.paths)} paths"

    def apply(self, context: Context) -> None:
        null = rootfd.null(context.root)
        empty = -1
        for path in self.paths:
            try:
                target = rootfd.find(context.root, path, symlinks=False)
            except FileNotFoundError:
                continue
            if not stat.S_ISDIR(os.fstat(target).st_mode):
                rootfd.attach(rootfd.copy_of_fd(null), target)
                continue
            if empty < 0:
                data = ((b"size", b"0k"), (b"nr_inodes", b"1"))
                empty = rootfd.new_mount(b"tmpfs", MOUNT_ATTR.RDONLY | _LOCKED, data)
                move_mount(
                    empty, b"", target, b"", MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.T_EMPTY_PATH
                )
                os.close(target)
            else:
                again = open_tree(empty, b"", OPEN_TREE.CLONE | AT.EMPTY_PATH)
                rootfd.attach(again, target)
        os.close(null)
        if empty >= 0:
            os.close(empty)

    def describe(self) -> str:
        return "hide " + ", ".join(map(shown, self.paths))

    def shell(self) -> str:
        return "; ".join(f"mount --bind /dev/null ROOT{quoted(path)}" for path in self.paths)


class ReadOnlyPaths(Op):
    NAME = "read-only-paths"
    PHASE = "mounts"
    paths: tuple[bytes, ...]

    @property
    def about(self) -> str:
        return f"{len(self.paths)} paths"

    def apply(self, context: Context) -> None:
        for path in self.paths:
            try:
                target = rootfd.find(context.root, path, symlinks=False)
            except FileNotFoundError:
                continue
            copy = rootfd.copy_of_fd(target)
            rootfd.restrict(copy, MOUNT_ATTR.RDONLY | _LOCKED)
            rootfd.attach(copy, target)

    def describe(self) -> str:
        return "make read-only " + ", ".join(map(shown, self.paths))

    def shell(self) -> str:
        return "; ".join(
            f"mount --bind -o ro,nosuid,nodev,noexec ROOT{quoted(path)} ROOT{quoted(path)}"
            for path in self.paths
        )
