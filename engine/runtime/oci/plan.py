"""From a bundle to the operations that make its container. Pure.

The order is the one of the runtime's plan.py: cgroup first, the machine's /proc while it is still
there, mounts, the root, and then the confinement that ops/order.py holds.
"""

from __future__ import annotations

import os

from engine.linux.flags import CLONE
from engine.runtime.cgroup.api import Hierarchy
from engine.runtime.oci import mounts
from engine.runtime.oci.bundle import Bundle
from engine.runtime.oci.document import Value
from engine.runtime.oci.gate import BecomeRoot, ContainerHooks, Gate, MapIds, RuntimeHooks
from engine.runtime.oci.hooks import hooks
from engine.runtime.oci.process import become, oom_score
from engine.runtime.oci.resources import limits
from engine.runtime.oci.root import BindRoot, LeaveTree, Propagation, RootPropagation
from engine.runtime.oci.settings import JoinNamespaces, Names, Personality, Sysctls
from engine.runtime.ops.base import Op
from engine.runtime.ops.cgroups import (
    CreateCgroup,
    FilterDevices,
    JoinCgroup,
    LimitCgroup,
    UnshareCgroup,
)
from engine.runtime.ops.mounts import Mask, ReadOnlyPaths
from engine.runtime.ops.rootfs import ReadOnlyRoot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_NEW = {
    "pid": CLONE.NEWPID,
    "network": CLONE.NEWNET,
    "ipc": CLONE.NEWIPC,
    "uts": CLONE.NEWUTS,
    "mount": CLONE.NEWNS,
    "user": CLONE.NEWUSER,
}
_PROPAGATIONS = {"": "rprivate", "private": "rprivate", "slave": "rslave", "shared": "rshared"}
# kernel settings that a namespace has its own of; any other would be the machine's.
_IPC_SYSCTLS = (
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
)
_UTS_SYSCTLS = ("kernel.hostname", "kernel.domainname")
_LINUX32 = 8


class Plan:
    """The parent applies `host_ops`, enters `join_pid` if there is one, and clones; the child
    applies `child_ops`."""

    __slots__ = ("born", "cgroup", "child_ops", "clone_flags", "host_ops", "join_pid")

    def __init__(
        self,
        *,
        cgroup: bytes,
        born: bool,
        host_ops: tuple[Op, ...],
        clone_flags: CLONE,
        join_pid: str,
        child_ops: tuple[Op, ...],
    ) -> None:
        self.cgroup = cgroup
        self.born = born
        self.host_ops = host_ops
        self.clone_flags = clone_flags
        self.join_pid = join_pid
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
    namespaces = bundle.namespaces
    where = bundle.config.get("linux", "namespaces")
    if namespaces.get("mount") != "":
        raise where.error("a container needs a new mount namespace")
    for kind in ("user", "time"):
        if namespaces.get(kind):
            raise where.error(f"joining a {kind} namespace by its path is not supported")
    if "time" in namespaces:
        raise where.error("time namespaces are not supported")
    cgroup = bundle.cgroup(id)
    directories = tuple(hierarchy.directories(cgroup))
    joins = tuple(hierarchy.join_files(cgroup))
    born = tuple(d for d in directories if not any(f.startswith(d + b"/") for f in joins))
    flags = CLONE(0)
    for kind, path in namespaces.items():
        if not path and kind in _NEW:
            flags |= _NEW[kind]
    resources = bundle.config.get("linux", "resources")
    limited = limits(resources, hierarchy)
    host_ops: list[Op] = [CreateCgroup(cgroup, directories)]
    try:
        writes = tuple(hierarchy.writes(cgroup, limited))
    except ValueError as error:
        raise resources.error(str(error)) from None
    if writes:
        host_ops.append(LimitCgroup(writes))
    program = hierarchy.device_program(limited)
    if program:
        host_ops.append(FilterDevices(cgroup, program))
    return Plan(
        cgroup=cgroup,
        born=bool(born),
        host_ops=tuple(host_ops),
        clone_flags=flags,
        join_pid=namespaces.get("pid", ""),
        child_ops=(
            JoinCgroup(joins, born[0] if born else b""),
            *_namespaces(bundle),
            *_rootfs(bundle, cgroup, hierarchy, state),
            *become(
                bundle.config.get("process"),
                bundle.config.get("linux", "seccomp"),
                held=held if "user" not in namespaces else ~0,
                own_console=True,
                gate=(Gate(listener), *_container_hooks(bundle, "startContainer", state)),
                keep=keep,
            ),
        ),
    )


def _namespaces(bundle: Bundle) -> Iterator[Op]:
    config, namespaces = bundle.config, bundle.namespaces
    # Those of others first: once in a user namespace, we have no say in them.
    joined = [
        (kind, os.fsencode(path))
        for kind, path in namespaces.items()
        if path and kind not in ("pid", "mount", "user")
    ]
    if joined:
        yield JoinNamespaces(tuple(joined))
    if "user" in namespaces:
        yield MapIds()
        yield BecomeRoot()
    if namespaces.get("cgroup") == "":
        yield UnshareCgroup()
    hostname, domainname = config.get("hostname").text(""), config.get("domainname").text("")
    if hostname or domainname:
        if "uts" not in namespaces:
            raise config.get("hostname").error("needs a uts namespace")
        yield Names(hostname, domainname)
    sysctls = tuple(_sysctl(bundle, *e) for e in config.get("linux", "sysctl").entries())
    if sysctls:
        yield Sysctls(sysctls)
    yield from oom_score(config.get("process"))


def _sysctl(bundle: Bundle, name: str, value: Value) -> tuple[bytes, bytes]:
    plain = name.replace("/", ".")
    if plain.startswith("net."):
        needed = "network"
    elif plain in _IPC_SYSCTLS or plain.startswith("fs.mqueue."):
        needed = "ipc"
    elif plain in _UTS_SYSCTLS:
        needed = "uts"
    else:
        raise value.error("is no setting of a namespace: it would change the machine's")
    if needed not in bundle.namespaces:
        raise value.error(f"needs a {needed} namespace: it would change the machine's")
    # A dot within a part, as of an interface eth0.1, is written as a slash.
    path = name.replace(".", "/") if "/" not in name else name.replace(".", "\0")
    path = path.replace("\0", ".")
    if ".." in path.split("/"):
        raise value.error("leads out of /proc/sys")
    return os.fsencode(path), value.text().encode()


def _rootfs(bundle: Bundle, cgroup: bytes, hierarchy: Hierarchy, state: bytes) -> Iterator[Op]:
    config, linux = bundle.config, bundle.config.get("linux")
    asked = linux.get("rootfsPropagation")
    word = asked.text("")
    recursive = _PROPAGATIONS.get(word.removeprefix("r"))
    if recursive is None and word not in ("unbindable", "runbindable"):
        raise asked.error(f"{word!r} is none of shared, slave, private, unbindable")
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
    domain = linux.get("personality", "domain")
    if domain:
        yield Personality(_LINUX32 if domain.choice(("LINUX", "LINUX32")) == "LINUX32" else 0)


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
