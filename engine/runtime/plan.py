"""From what a container is to be, to the list of operations that makes it so. Pure.

The order is the contract: cgroup first, so that nothing of the container runs unlimited; mounts
before the root is left; capabilities, then no_new_privileges, then seccomp as late as can be;
descriptors closed last.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.linux.flags import CLONE, MOUNT_ATTR
from engine.linux.table import MACHINE
from engine.runtime import capabilities, filter
from engine.runtime.cgroup.api import Hierarchy, Resources
from engine.runtime.features import overlay_append
from engine.runtime.ops import cgroups, mounts, order, process, rootfs, stdio
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

_NODES = (
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
# 5:2 is /dev/ptmx, 136:* are the terminals in /dev/pts.
_TERMINALS = ("c 5:2 rw", "c 136:* rw")

_SANDBOX = ("network", "ipc", "uts")
_OWN = {"pid": CLONE.NEWPID, "mount": CLONE.NEWNS, "cgroup": CLONE(0)}


class PlanError(ValueError):
    """A Spec that cannot be carried out; the message names the field, and why."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a Spec does not say: which container, on which layers, in which cgroup and sandbox.

    lowerdirs   read-only layers, the uppermost first
    upper, work     overlay's read-write layer and its scratch folder, both empty
    hosts, hostname, resolv_conf    shown read-write in /etc, when given
    cgroup      relative to every hierarchy's root
    stdin       whether it has an input, for attach; else it reads /dev/null, or its terminal
    append_layers   whether layers are named one by one; by default as this kernel can
    """

    container_id: str
    sandbox: str
    lowerdirs: tuple[Path, ...]
    upper: Path
    work: Path
    cgroup: bytes
    hierarchy: Hierarchy
    resources: Resources = field(default_factory=Resources)
    hosts: Path | None = None
    hostname: Path | None = None
    resolv_conf: Path | None = None
    stdin: bool = False
    append_layers: bool = field(default_factory=overlay_append)
    machine: str = MACHINE


@dataclass(frozen=True)
class Step:
    """One operation as told to a person. `shell` is the command that does the same."""

    phase: str
    op: str
    text: str
    shell: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The keeper applies `host_ops`, clones with `clone_flags`; the child applies `child_ops`."""

    container_id: str
    sandbox: str
    cgroup: bytes
    born: bool
    host_ops: tuple[Op, ...]
    clone_flags: CLONE
    child_ops: tuple[Op, ...]

    @property
    def exec(self) -> process.Exec:
        last = self.child_ops[-1]
        assert isinstance(last, process.Exec)
        return last

    def describe(self) -> list[Step]:
        """Every operation in order, those of the keeper first."""
        steps = [_step(op) for op in self.host_ops]
        names = [flag.name or "" for flag in CLONE if flag & self.clone_flags]
        steps.append(
            Step(
                "namespaces",
                "clone",
                f"create the process in new namespaces: {', '.join(names)}",
                "unshare --fork" + "".join(_UNSHARE[n] for n in names if n in _UNSHARE),
            )
        )
        return steps + [_step(op) for op in self.child_ops]


_UNSHARE = {"NEWPID": " --pid", "NEWNS": " --mount"}


def _step(op: Op) -> Step:
    return Step(op.PHASE, op.NAME, op.describe(), op.shell())


def compile(spec: Spec, target: Target) -> Plan:
    """The plan of one container. Raise PlanError naming the field that cannot be honoured."""
    kinds = {namespace.type for namespace in spec.linux.namespaces}
    unknown = kinds - _OWN.keys() - set(_SANDBOX)
    if unknown:
        raise PlanError(f"linux.namespaces: {', '.join(sorted(unknown))} is not supported")
    if "mount" not in kinds:
        raise PlanError("linux.namespaces: a container needs its own mount namespace")
    directories = tuple(target.hierarchy.directories(target.cgroup))
    joins = tuple(target.hierarchy.join_files(target.cgroup))
    born = tuple(d for d in directories if not any(f.startswith(d + b"/") for f in joins))
    flags = CLONE(0)
    for kind in kinds & _OWN.keys():
        flags |= _OWN[kind]
    return Plan(
        container_id=target.container_id,
        sandbox=target.sandbox,
        cgroup=target.cgroup,
        born=bool(born),
        host_ops=tuple(_host(spec, target, directories)),
        clone_flags=flags,
        child_ops=(
            cgroups.JoinCgroup(joins, born[0] if born else b""),
            *_namespaces(kinds, target),
            *_rootfs(spec, target),
            *_confine(spec, target.machine, target.stdin),
        ),
    )


def _host(spec: Spec, target: Target, directories: tuple[bytes, ...]) -> Iterator[Op]:
    yield cgroups.CreateCgroup(target.cgroup, directories)
    resources = target.resources
    if target.hierarchy.controls_devices and resources.devices is None:
        fields = resources.fields() | {"devices": _device_rules(spec)}
        resources = Resources(**fields)  # type: ignore[arg-type]
    writes = tuple(target.hierarchy.writes(target.cgroup, resources))
    if writes:
        yield cgroups.LimitCgroup(writes)


def _device_rules(spec: Spec) -> tuple[str, ...]:
    """Only the nodes that we make, and terminals, may be opened, whoever makes a node."""
    rules = [f"{kind} {major}:{minor} rwm" for _, kind, major, minor, *_ in _NODES]
    rules += [f"{d.type} {d.major}:{d.minor} rwm" for d in spec.linux.devices]
    return (*rules, *_TERMINALS)


def _namespaces(kinds: set[str], target: Target) -> Iterator[Op]:
    shared = tuple(kind for kind in _SANDBOX if kind in kinds)
    if shared:
        yield cgroups.JoinSandbox(target.sandbox, shared)
    if "cgroup" in kinds:
        yield cgroups.UnshareCgroup()
    yield rootfs.PrivateMounts()


def _rootfs(spec: Spec, target: Target) -> Iterator[Op]:
    if not target.lowerdirs:
        raise PlanError("no layers: an image has at least one")
    if spec.process.oom_score_adj is not None:
        # Here, where /proc is still the machine's: the container's own is read-only to some.
        yield process.OomScore(spec.process.oom_score_adj)
    lowers = tuple(os.fsencode(layer) for layer in target.lowerdirs)
    append = target.append_layers and all(len(layer) <= 255 for layer in lowers)
    yield rootfs.Overlay(lowers, os.fsencode(target.upper), os.fsencode(target.work), append)
    files = {"hosts": target.hosts, "hostname": target.hostname, "resolv.conf": target.resolv_conf}
    own = [
        Mount(destination=f"/etc/{name}", source=str(source), options=("bind",))
        for name, source in files.items()
        if source is not None
    ]
    # Before the spec's, so that a volume over /etc/hosts wins.
    for index, mount in enumerate(own):
        yield _mount(mount, f"files[{index}]", target)
    for index, mount in enumerate(spec.mounts):
        yield _mount(mount, f"mounts[{index}]", target)
        if posixpath.normpath(mount.destination) == "/dev" and mount.type == "tmpfs":
            yield mounts.Devices(_NODES + _extra_devices(spec), _LINKS)
    if spec.linux.readonly_paths:
        yield mounts.ReadOnlyPaths(_paths(spec.linux.readonly_paths, "linux.readonlyPaths"))
    if spec.linux.masked_paths:
        yield mounts.Mask(_paths(spec.linux.masked_paths, "linux.maskedPaths"))
    if spec.root.readonly:
        yield rootfs.ReadOnlyRoot()
    yield rootfs.PivotRoot()


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


def _mount(mount: Mount, field: str, target: Target) -> Op:
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
        return mounts.CgroupView(at, attributes, tuple(target.hierarchy.mounts()))
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


def _confine(spec: Spec, machine: str, stdin: bool) -> Iterator[Op]:
    asked = spec.process
    if not asked.args or not asked.args[0]:
        raise PlanError("process.args: names no command")
    for entry in asked.env:
        if entry.find("=") < 1 or "\0" in entry:
            raise PlanError(f"process.env: {entry!r} is not NAME=VALUE")
    if not posixpath.isabs(asked.cwd):
        raise PlanError(f"process.cwd {asked.cwd!r}: must be an absolute path")
    user = asked.user
    yield stdio.Terminal(user.uid) if asked.terminal else stdio.Stdio(user.uid, stdin)
    yield rootfs.Workdir(os.fsencode(posixpath.normpath(asked.cwd)))
    if asked.rlimits:
        yield process.Rlimits(tuple((r.type, r.soft, r.hard) for r in asked.rlimits))
    try:
        sets = {
            name: capabilities.mask(getattr(asked.capabilities, name))
            for name in ("bounding", "effective", "permitted", "inheritable", "ambient")
        }
    except ValueError as error:
        raise PlanError(f"process.capabilities: {error}") from error
    profile = spec.linux.seccomp
    yield from order.confine(
        bounding=process.Bounding(sets.pop("bounding")),
        user=process.User(user.uid, user.gid, user.additional_gids, user.umask),
        capabilities=process.Capabilities(**sets),
        no_new_privileges=asked.no_new_privileges,
        seccomp=None if profile is None else process.Seccomp(filter.compile(profile, machine)),
        exec=process.Exec(
            tuple(os.fsencode(word) for word in asked.args),
            tuple(os.fsencode(entry) for entry in asked.env),
        ),
    )
