"""A spec's mounts, devices and hidden paths, as operations. Pure.

The kernel's own filesystems come first and are staged: set up before there is a root filesystem.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.linux.flags import MOUNT_ATTR
from engine.runtime.cgroup.api import Hierarchy
from engine.runtime.ops import mounts
from engine.runtime.ops.base import Op
from engine.runtime.spec import Mount, Spec

# What each option of mount(8) means for the mount itself. All others are the filesystem's own.
_SET: dict[str, int] = {
    "ro": MOUNT_ATTR.RDONLY,
    "nosuid": MOUNT_ATTR.NOSUID,
    "nodev": MOUNT_ATTR.NODEV,
    "noexec": MOUNT_ATTR.NOEXEC,
    "noatime": MOUNT_ATTR.NOATIME,
    "strictatime": MOUNT_ATTR.STRICTATIME,
    "nodiratime": MOUNT_ATTR.NODIRATIME,
    "nosymfollow": MOUNT_ATTR.NOSYMFOLLOW,
}
# These take back an earlier option. They never lift what the mount at a bind's source has: what the
# machine shows read-only stays so in a container.
_TAKEN_BACK: dict[str, int] = {
    "rw": MOUNT_ATTR.RDONLY,
    "suid": MOUNT_ATTR.NOSUID,
    "dev": MOUNT_ATTR.NODEV,
    "exec": MOUNT_ATTR.NOEXEC,
}
# What a mount is anyway, here.
_IMPLIED = ("bind", "rbind", "private", "rprivate", "relatime")

NODES = (
    (b"null", "c", 1, 3, 0o666, 0, 0),
    (b"zero", "c", 1, 5, 0o666, 0, 0),
    (b"full", "c", 1, 7, 0o666, 0, 0),
    (b"random", "c", 1, 8, 0o666, 0, 0),
    (b"urandom", "c", 1, 9, 0o666, 0, 0),
    (b"tty", "c", 5, 0, 0o666, 0, 0),
)
_LINKS = (
    (b"fd", b"/proc/self/fd"),
    (b"stdin", b"/proc/self/fd/0"),
    (b"stdout", b"/proc/self/fd/1"),
    (b"stderr", b"/proc/self/fd/2"),
    (b"ptmx", b"pts/ptmx"),
    (b"core", b"/proc/kcore"),
)


class PlanError(ValueError):
    """A Spec that cannot be carried out; the message names the field, and why."""


@dataclass(frozen=True)
class Staged:
    """What is set up before there is a root filesystem.

    ops     the operations, in the stage's directory
    tops    what they make that is to be moved out of it
    mounts  how many of the spec's mounts they are
    """

    ops: tuple[Op, ...] = ()
    tops: tuple[bytes, ...] = ()
    mounts: int = 0

    @property
    def hides(self) -> bool:
        """Whether what is to be hidden in /proc has been: for that it takes /dev/null."""
        return {b"/proc", b"/dev"} <= set(self.tops)


def staged(spec: Spec, hierarchy: Hierarchy) -> Staged:
    """The first of the spec's mounts, as far as they are the kernel's own, and where one expects
    them. Raise PlanError naming the field that cannot be honoured."""
    ops: list[Op] = []
    targets: list[bytes] = []
    for index, entry in enumerate(spec.mounts):
        op = mount(entry, f"mounts[{index}]", hierarchy)
        top = b"/" + op.target.split(b"/")[1]
        ours = top in (b"/proc", b"/dev", b"/sys") and not isinstance(op, mounts.Bind)
        if not ours or op.target in targets or top not in (*targets, op.target):
            break
        targets.append(op.target)
        ops += [op, *devices(spec, entry)]
    tops = tuple(target for target in targets if target.count(b"/") == 1)
    found = Staged(tuple(ops), tops, len(targets))
    if not found.hides:
        return found
    return replace(found, ops=(*found.ops, *hidden(spec, in_proc=True)))


def devices(spec: Spec, mount: Mount) -> Iterator[Op]:
    """What belongs on a mount right after it."""
    if posixpath.normpath(mount.destination) == "/dev" and mount.type == "tmpfs":
        yield mounts.Devices(NODES + _extra_devices(spec), _LINKS)


def hidden(spec: Spec, *, in_proc: bool) -> Iterator[Op]:
    """What is masked or read-only, in /proc or elsewhere.

    Nothing is ever mounted over /proc, so what is hidden there can be so from the beginning.
    """
    for paths, field, kind in (
        (spec.linux.readonly_paths, "linux.readonlyPaths", mounts.ReadOnlyPaths),
        (spec.linux.masked_paths, "linux.maskedPaths", mounts.Mask),
    ):
        here = tuple(p for p in _paths(paths, field) if p.startswith(b"/proc/") == in_proc)
        if here:
            yield kind(here)


def _extra_devices(spec: Spec) -> tuple[tuple[bytes, str, int, int, int, int, int], ...]:
    nodes = []
    for index, device in enumerate(spec.linux.devices):
        path = posixpath.normpath(device.path)
        if not path.startswith("/dev/") or device.type not in ("c", "b"):
            raise PlanError(
                f"linux.devices[{index}]: {device.type} {device.path!r} must be a character (c) or"
                " block (b) device below /dev"
            )
        name = os.fsencode(path.removeprefix("/dev/"))
        mode = device.file_mode & 0o777
        numbers = (device.type, device.major, device.minor, mode, device.uid, device.gid)
        nodes.append((name, *numbers))
    return tuple(nodes)


def _paths(paths: tuple[str, ...], field: str) -> tuple[bytes, ...]:
    for path in paths:
        if not posixpath.isabs(path) or ".." in path.split("/"):
            raise PlanError(f"{field}: {path!r} must be absolute and without '..'")
    return tuple(os.fsencode(path) for path in paths)


def mount(
    mount: Mount, field: str, hierarchy: Hierarchy
) -> mounts.Bind | mounts.CgroupView | mounts.Filesystem:
    """The operation of one mount. Raise PlanError naming `field`."""
    # normpath() keeps two leading slashes, which POSIX lets mean something else.
    destination = "/" + posixpath.normpath(mount.destination).lstrip("/")
    if not posixpath.isabs(mount.destination) or "\0" in destination:
        raise PlanError(f"{field}.destination {mount.destination!r}: must be an absolute path")
    below_proc = destination == "/proc" or destination.startswith("/proc/")
    if destination == "/" or (below_proc and mount.type != "proc"):
        raise PlanError(f"{field}.destination {mount.destination!r}: nothing may be mounted there")
    at = os.fsencode(destination)
    attributes, data = _options(mount)
    if mount.type in ("", "bind", "none") or {"bind", "rbind"} & set(mount.options):
        if not posixpath.isabs(mount.source):
            raise PlanError(f"{field}.source {mount.source!r}: must be an absolute path")
        if data:
            words = ", ".join(os.fsdecode(key + b"=" + value).rstrip("=") for key, value in data)
            raise PlanError(f"{field}.options: {words} means nothing to a bind mount")
        recursive, source = "rbind" in mount.options, os.fsencode(mount.source)
        # A v2 cgroup cannot tell which devices may be opened: those in a volume may not.
        nodev = 0 if "dev" in mount.options else MOUNT_ATTR.NODEV
        return mounts.Bind(source, _below(mount, field), at, int(attributes | nodev), recursive)
    if mount.type in ("cgroup", "cgroup2"):
        return mounts.CgroupView(at, attributes, tuple(hierarchy.mounts()))
    strict = destination.split("/")[1] in ("proc", "sys", "dev")
    source = os.fsencode(mount.source or mount.type)
    return mounts.Filesystem(mount.type.encode(), source, at, attributes, data, strict)


def _below(mount: Mount, field: str) -> bytes:
    if posixpath.isabs(mount.below) or ".." in mount.below.split("/") or "\0" in mount.below:
        raise PlanError(f"{field}.below {mount.below!r}: must be relative and without '..'")
    return os.fsencode(mount.below)


def _options(mount: Mount) -> tuple[int, tuple[tuple[bytes, bytes], ...]]:
    attributes = 0
    data = []
    for option in mount.options:
        if option in _SET or option in _TAKEN_BACK:
            attributes = attributes & ~_TAKEN_BACK.get(option, 0) | _SET.get(option, 0)
        elif option not in _IMPLIED:
            key, _, value = option.partition("=")
            data.append((os.fsencode(key), os.fsencode(value)))
    return int(attributes), tuple(data)
