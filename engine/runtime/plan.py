"""From what a container is to be, to the list of operations that makes it so. Pure.

The order is the contract: the cgroup first, and its limits before the process is given its
streams, so that no program runs unlimited; the kernel's own filesystems, which can be made ahead;
mounts before the root is left; capabilities, then no_new_privileges, then seccomp as late as can
be; descriptors closed last.
"""

from __future__ import annotations

import functools
import os
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.linux.flags import CLONE
from engine.linux.namespace import in_user_namespace
from engine.linux.table import MACHINE
from engine.runtime import capabilities, filesystems, filter
from engine.runtime.cgroup.api import Hierarchy, Resources
from engine.runtime.features import overlay_append
from engine.runtime.filesystems import PlanError, Staged
from engine.runtime.ops import cgroups, order, process, rootfs, stage, stdio
from engine.runtime.ops.base import Op
from engine.runtime.spec import Mount, Spec

# 5:2 is /dev/ptmx, 136:* are the terminals in /dev/pts.
_TERMINALS = ("c 5:2 rw", "c 136:* rw")

__all__ = [
    "Plan",
    "PlanError",
    "Preparation",
    "Step",
    "Target",
    "compile",
    "describe",
    "prepare",
]

# Most containers have the same profile.
_filter = functools.lru_cache(maxsize=64)(filter.compile)

_SANDBOX = ("network", "ipc", "uts")
_OWN = {"pid": CLONE.NEWPID, "mount": CLONE.NEWNS, "cgroup": CLONE(0)}


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a Spec does not say: which container, on which layers, in which cgroup and sandbox.

    lowerdirs   read-only layers, the uppermost first
    upper, work     overlay's read-write layer and its scratch folder, both empty
    hosts, hostname, resolv_conf    shown read-write in /etc, when given
    cgroup      relative to every hierarchy's root
    pids        where the Spec has no pid namespace, whose it is in: the node's (""), the one that
                its sandbox has ("pod"), or that of the container with this id
    stdin       whether it has an input, for attach; else it reads /dev/null, or its terminal
    userxattr   whether overlay marks by user.* attributes, as it must in a user namespace
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
    pids: str = ""
    stdin: bool = False
    append_layers: bool = field(default_factory=overlay_append)
    userxattr: bool = field(default_factory=in_user_namespace)
    machine: str = MACHINE


@dataclass(frozen=True)
class Step:
    """One operation as told to a person. `shell` is the command that does the same."""

    phase: str
    op: str
    text: str
    shell: str


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """The part of a plan that can be done ahead, to be waited for by nobody: the keeper applies
    `host_ops`, clones with `clone_flags` (`born`: into the v2 cgroup), the child applies
    `child_ops`."""

    container_id: str
    sandbox: str
    cgroup: bytes
    born: bool
    host_ops: tuple[Op, ...]
    clone_flags: CLONE
    child_ops: tuple[Op, ...]
    pids: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan(Preparation):
    """A whole start. The keeper applies `limit_ops` while the child works, which takes its streams
    only then."""

    limit_ops: tuple[Op, ...]

    @property
    def work(self) -> tuple[Op, ...]:
        """All that follows the clone."""
        ops = self.child_ops
        streams = next((n for n, op in enumerate(ops) if op.STREAMS), len(ops) - 1)
        return (*ops[:streams], *self.limit_ops, *ops[streams:])

    @property
    def exec(self) -> process.Exec:
        last = self.child_ops[-1]
        assert isinstance(last, process.Exec)
        return last

    def describe(self) -> list[Step]:
        """Every operation in order, those of the keeper first."""
        return describe(self.host_ops, self.clone_flags, self.work)


def describe(host_ops: Iterable[Op], clone_flags: CLONE, work: Iterable[Op]) -> list[Step]:
    """What a plan that is made of these does, in order. `work`: all that follows the clone."""
    names = [flag.name or "" for flag in CLONE if flag & clone_flags]
    clone = Step(
        "namespaces",
        "clone",
        f"create the process in new namespaces: {', '.join(names)}",
        "unshare --fork" + "".join(_UNSHARE[n] for n in names if n in _UNSHARE),
    )
    return [*map(_step, host_ops), clone, *map(_step, work)]


_UNSHARE = {"NEWPID": " --pid", "NEWNS": " --mount"}


def _step(op: Op) -> Step:
    return Step(op.PHASE, op.NAME, op.describe(), op.shell())


def prepare(
    spec: Spec,
    *,
    container_id: str,
    sandbox: str,
    cgroup: bytes,
    hierarchy: Hierarchy,
    devices: tuple[str, ...] | None = None,
) -> Preparation:
    """What can be done for a container before its image and its program are known: what of `spec`
    names those is not looked at. `devices`: rules, by default for those of `spec`. Raise PlanError
    naming the field that cannot be honoured."""
    kinds = {namespace.type for namespace in spec.linux.namespaces}
    unknown = kinds - _OWN.keys() - set(_SANDBOX)
    if unknown:
        raise PlanError(f"linux.namespaces: {', '.join(sorted(unknown))} is not supported")
    if "mount" not in kinds:
        raise PlanError("linux.namespaces: a container needs its own mount namespace")
    directories = hierarchy.directories(cgroup)
    joins = tuple(hierarchy.join_files(cgroup))
    born = [d for d in directories if not any(f.startswith(d + b"/") for f in joins)]
    flags = CLONE(0)
    for kind in kinds & _OWN.keys():
        flags |= _OWN[kind]
    return Preparation(
        container_id=container_id,
        sandbox=sandbox,
        cgroup=cgroup,
        born=bool(born),
        host_ops=(
            cgroups.CreateCgroup(cgroup, tuple(directories)),
            *_device_rules(devices, spec, cgroup, hierarchy),
        ),
        clone_flags=flags,
        child_ops=(
            cgroups.JoinCgroup(joins, born[0] if born else b""),
            *_namespaces(kinds, sandbox),
            *_stage(filesystems.staged(spec, hierarchy)),
        ),
    )


def compile(spec: Spec, target: Target) -> Plan:
    """The plan of one container. Raise PlanError naming the field that cannot be honoured."""
    before = prepare(
        spec,
        container_id=target.container_id,
        sandbox=target.sandbox,
        cgroup=target.cgroup,
        hierarchy=target.hierarchy,
        devices=target.resources.devices,
    )
    fields = vars(before) | {
        "pids": target.pids,
        "limit_ops": tuple(_limits(target)),
        "child_ops": (
            *before.child_ops,
            *_rootfs(spec, target),
            *_confine(spec, target.machine, target.stdin),
        ),
    }
    return Plan(**fields)


def _limits(target: Target) -> Iterator[Op]:
    fields = target.resources.fields() | {"devices": None}
    resources = Resources(**fields)  # type: ignore[arg-type]
    writes = tuple(target.hierarchy.writes(target.cgroup, resources))
    if writes:
        yield cgroups.LimitCgroup(writes)


def _device_rules(
    asked: tuple[str, ...] | None, spec: Spec, cgroup: bytes, hierarchy: Hierarchy
) -> Iterator[Op]:
    """Only the nodes that we make, and terminals, may be opened, whoever makes a node. Before there
    is a process: on v1, while rules are written one by one, nothing may be opened or made."""
    if not hierarchy.controls_devices:
        return
    nodes = [f"{kind} {major}:{minor} rwm" for _, kind, major, minor, *_ in filesystems.NODES]
    nodes += [f"{d.type} {d.major}:{d.minor} rwm" for d in spec.linux.devices]
    resources = Resources(devices=(*nodes, *_TERMINALS) if asked is None else asked)
    writes = tuple(hierarchy.writes(cgroup, resources))
    if writes:
        yield cgroups.LimitCgroup(writes)
    program = hierarchy.device_program(resources)
    if program:
        yield cgroups.FilterDevices(cgroup, program)


def _namespaces(kinds: set[str], sandbox: str) -> Iterator[Op]:
    shared = tuple(kind for kind in _SANDBOX if kind in kinds)
    if shared:
        yield cgroups.JoinSandbox(sandbox, shared)
    if "cgroup" in kinds:
        yield cgroups.UnshareCgroup()
    yield rootfs.PrivateMounts()


def _stage(staged: Staged) -> Iterator[Op]:
    if staged.tops:
        yield stage.Stage(staged.tops)
        yield from staged.ops


def _rootfs(spec: Spec, target: Target) -> Iterator[Op]:
    if not target.lowerdirs:
        raise PlanError("no layers: an image has at least one")
    staged = filesystems.staged(spec, target.hierarchy)
    if spec.process.oom_score_adj is not None:
        # Here, where /proc is still the machine's: the container's own is read-only to some.
        yield process.OomScore(spec.process.oom_score_adj)
    lowers = tuple(os.fsencode(layer) for layer in target.lowerdirs)
    append = target.append_layers and all(len(layer) <= 255 for layer in lowers)
    yield rootfs.Overlay(
        lowers, os.fsencode(target.upper), os.fsencode(target.work), append, target.userxattr
    )
    files = {"hosts": target.hosts, "hostname": target.hostname, "resolv.conf": target.resolv_conf}
    own = [
        Mount(destination=f"/etc/{name}", source=str(source), options=("bind",))
        for name, source in files.items()
        if source is not None
    ]
    # Before the spec's, so that a volume over /etc/hosts wins.
    for index, mount in enumerate(own):
        yield filesystems.mount(mount, f"files[{index}]", target.hierarchy)
    yield from map(stage.Place, staged.tops)
    for index, mount in enumerate(spec.mounts[staged.mounts :], staged.mounts):
        yield filesystems.mount(mount, f"mounts[{index}]", target.hierarchy)
        yield from filesystems.devices(spec, mount)
    if not staged.hides:
        yield from filesystems.hidden(spec, in_proc=True)
    yield from filesystems.hidden(spec, in_proc=False)
    if spec.root.readonly:
        yield rootfs.ReadOnlyRoot()
    yield rootfs.PivotRoot()


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
    yield stdio.Terminal(user.uid, True) if asked.terminal else stdio.Stdio(user.uid, stdin)
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
        seccomp=None if profile is None else process.Seccomp(_filter(profile, machine)),
        exec=process.Exec(
            tuple(os.fsencode(word) for word in asked.args),
            tuple(os.fsencode(entry) for entry in asked.env),
        ),
    )
