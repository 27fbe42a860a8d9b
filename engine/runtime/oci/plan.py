"""From a bundle to the operations that make its container. Pure.

The order is the one of the runtime's plan.py: cgroup first, the machine's /proc while it is still
there, mounts, the root, and then the confinement that ops/order.py holds.
"""

from __future__ import annotations

import os

from engine.linux.flags import CLONE
from engine.runtime.cgroup.api import Hierarchy
from engine.runtime.oci import mounts, namespaces
from engine.runtime.oci.bundle import Bundle
from engine.runtime.oci.controls import control
from engine.runtime.oci.delegation import delegation
from engine.runtime.oci.document import Value
from engine.runtime.oci.gate import ContainerHooks, Gate, RuntimeHooks
from engine.runtime.oci.hooks import POINTS, hooks
from engine.runtime.oci.labels import hold, mount_label
from engine.runtime.oci.process import become, oom_score
from engine.runtime.oci.resources import limits
from engine.runtime.oci.root import BindRoot, LeaveTree, Propagation, RootPropagation
from engine.runtime.oci.settings import Personality
from engine.runtime.ops.base import Op
from engine.runtime.ops.cgroups import (
    CreateCgroup,
    FilterDevices,
    JoinCgroup,
    LimitCgroup,
)
from engine.runtime.ops.mounts import Mask, ReadOnlyPaths
from engine.runtime.ops.rootfs import ReadOnlyRoot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PROPAGATIONS = {"": "rprivate", "private": "rprivate", "slave": "rslave", "shared": "rshared"}
_LINUX32 = 8


class Plan:
    """The parent applies `host_ops`, enters `join_pid` if there is one, and clones, by way of one
    who applies `ahead_ops` if there are any; the child applies `child_ops`."""

    __slots__ = ("ahead_ops", "born", "cgroup", "child_ops", "clone_flags", "host_ops", "join_pid")

    def __init__(
        self,
        *,
        cgroup: bytes,
        born: bool,
        host_ops: tuple[Op, ...],
        clone_flags: CLONE,
        join_pid: str,
        ahead_ops: tuple[Op, ...],
        child_ops: tuple[Op, ...],
    ) -> None:
        self.cgroup = cgroup
        self.born = born
        self.host_ops = host_ops
        self.clone_flags = clone_flags
        self.join_pid = join_pid
        self.ahead_ops = ahead_ops
        self.child_ops = child_ops


def compile(
    bundle: Bundle,
    id: str,
    hierarchy: Hierarchy,
    *,
    held: int,
    listener: int,
    state: bytes = b"",
    keep: int = 0,
) -> Plan:
    """Raise ConfigError naming the field that cannot be honoured.

    held    capabilities there are to give
    listener    the socket that `start` will connect to
    state   what hooks inside the container are told
    """
    namespaces.check(bundle)
    for point in POINTS:
        # Those that come after the start, too: then it would be too late.
        hooks(bundle.config, point)
    cgroup = bundle.cgroup(id)
    directories = tuple(hierarchy.directories(cgroup))
    joins = tuple(hierarchy.join_files(cgroup))
    born = tuple(d for d in directories if not any(f.startswith(d + b"/") for f in joins))
    resources = bundle.config.get("linux", "resources")
    limited = limits(resources, hierarchy)
    host_ops: list[Op] = [CreateCgroup(cgroup, directories)]
    try:
        writes = tuple(hierarchy.writes(cgroup, limited))
    except ValueError as error:
        raise resources.error(str(error)) from None
    if writes:
        host_ops.append(LimitCgroup(writes))
    if others := control(resources, cgroup, hierarchy):
        host_ops.append(others)
    program = hierarchy.device_program(limited)
    if program:
        host_ops.append(FilterDevices(cgroup, program))
    if owned := delegation(bundle, cgroup, hierarchy):
        host_ops.append(owned)
    host_ops += mounts.mapped(bundle)
    return Plan(
        cgroup=cgroup,
        born=bool(born),
        host_ops=tuple(host_ops),
        clone_flags=namespaces.flags(bundle),
        join_pid=bundle.namespaces.get("pid", ""),
        ahead_ops=tuple(namespaces.ahead(bundle)),
        child_ops=(
            JoinCgroup(joins, born[0] if born else b""),
            *hold(bundle.config.get("process")),
            *namespaces.within(bundle),
            *oom_score(bundle.config.get("process")),
            *_rootfs(bundle, cgroup, hierarchy, state),
            *become(
                bundle.config.get("process"),
                bundle.config.get("linux", "seccomp"),
                held=held if "user" not in bundle.namespaces else ~0,
                own_console=True,
                gate=(Gate(listener), *_container_hooks(bundle, "startContainer", state)),
                keep=keep,
            ),
        ),
    )


def _rootfs(bundle: Bundle, cgroup: bytes, hierarchy: Hierarchy, state: bytes) -> Iterator[Op]:
    config, linux = bundle.config, bundle.config.get("linux")
    if bundle.namespaces["mount"]:
        if any(hooks(config, point) for point in ("prestart", "createRuntime")):
            yield RuntimeHooks()
        yield from namespaces.tree(bundle)
        yield from _container_hooks(bundle, "createContainer", state)
        return
    asked = linux.get("rootfsPropagation")
    word = asked.text("")
    recursive = _PROPAGATIONS.get(word.removeprefix("r"))
    if recursive is None and word not in ("unbindable", "runbindable"):
        raise asked.error(f"{word!r} is none of shared, slave, private, unbindable")
    mount_label(linux)
    yield Propagation(recursive or "rprivate")
    yield BindRoot(os.fsencode(bundle.rootfs))
    yield from mounts.mounts(bundle, cgroup, hierarchy)
    yield from mounts.devices(bundle)
    if any(hooks(config, point) for point in ("prestart", "createRuntime")):
        yield RuntimeHooks()
    yield from _container_hooks(bundle, "createContainer", state)
    readonly, masked = linux.get("readonlyPaths"), linux.get("maskedPaths")
    if readonly.raw:
        yield ReadOnlyPaths(_paths(readonly))
    if masked.raw:
        yield Mask(_paths(masked))
    if config.get("root", "readonly").flag():
        yield ReadOnlyRoot()
    yield LeaveTree()
    if word not in ("", "private", "rprivate"):
        yield RootPropagation(word)
    personality = linux.get("personality")
    if personality:
        domain = personality.get("domain").choice(("LINUX", "LINUX32"))
        if personality.get("flags").texts():
            raise personality.get("flags").error("the specification has no flags; leave them out")
        yield Personality(_LINUX32 if domain == "LINUX32" else 0)


def _container_hooks(bundle: Bundle, point: str, state: bytes) -> Iterator[Op]:
    found = hooks(bundle.config, point)
    if found:
        yield ContainerHooks(point, found, state)


def _paths(value: Value) -> tuple[bytes, ...]:
    for item in value.items():
        path = item.text()
        if not path.startswith("/") or ".." in path.split("/"):
            raise item.error(f"{path!r} must be absolute and without '..'")
    return tuple(os.fsencode(path) for path in value.texts())
