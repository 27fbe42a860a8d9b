"""mounts and linux.devices of a bundle, as operations."""

from __future__ import annotations

import os
import posixpath

from engine.linux.flags import MOUNT_ATTR
from engine.runtime.oci.bundle import Bundle
from engine.runtime.oci.devices import LINKS, NULL_AND_KIN, TYPES, Links, Nodes
from engine.runtime.oci.document import Value
from engine.runtime.oci.mounting import BindMount, CgroupPart, CopiedUp, NewMount, Sysfs
from engine.runtime.oci.options import Options
from engine.runtime.ops.base import Op
from engine.runtime.ops.mounts import CgroupView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.runtime.cgroup.api import Hierarchy

_KERNEL = ("proc", "sys", "dev")


def mounts(bundle: Bundle, cgroup: bytes, hierarchy: Hierarchy) -> Iterator[Op]:
    for value in bundle.config.get("mounts").items():
        yield _mount(value, bundle, cgroup, hierarchy)


def _mount(value: Value, bundle: Bundle, cgroup: bytes, hierarchy: Hierarchy) -> Op:
    destination = value.get("destination").text()
    target = os.fsencode("/" + posixpath.normpath("/" + destination).lstrip("/"))
    if target == b"/":
        raise value.get("destination").error(f"{destination!r}: the root is not mounted over")
    options = Options(value.get("options").texts())
    for name in ("uidMappings", "gidMappings"):
        if value.get(name).raw:
            raise value.get(name).error("mounts with mapped ids are not supported")
    if options.unknown:
        raise value.get("options").error(f"{options.unknown[0]}: not supported")
    kind = value.get("type").text("")
    source = value.get("source").text("")
    if options.bind or kind in ("", "bind", "none"):
        return _bind(value, bundle, target, source, options)
    if kind in ("cgroup", "cgroup2"):
        if "cgroup" in bundle.namespaces:
            return CgroupView(target, options.set, tuple(hierarchy.mounts()))
        return _cgroup_part(target, options, cgroup, hierarchy)
    strict = target.split(b"/")[1].decode(errors="replace") in _KERNEL
    below_proc = target == b"/proc" or target.startswith(b"/proc/")
    if below_proc and kind != "proc":
        raise value.get("destination").error(f"{destination!r}: nothing may be mounted there")
    make = Sysfs if kind == "sysfs" else CopiedUp if options.copy_up else NewMount
    if options.copy_up and kind != "tmpfs":
        raise value.get("options").error("tmpcopyup is for a tmpfs")
    return make(
        kind.encode(),
        os.fsencode(source or kind),
        target,
        options.set,
        tuple(options.data),
        options.propagation,
        strict,
    )


def _bind(value: Value, bundle: Bundle, target: bytes, source: str, options: Options) -> Op:
    if not source:
        raise value.get("source").error("is missing")
    if options.data:
        key, word = options.data[0]
        name = os.fsdecode(key + b"=" + word).rstrip("=")
        raise value.get("options").error(f"{name} means nothing to a bind mount")
    path = os.path.join(bundle.path, source)
    if target == b"/proc" and os.path.realpath(path) != "/proc":
        raise value.get("source").error(f"{source!r} is not the /proc that may be mounted there")
    return BindMount(
        os.fsencode(path),
        target,
        options.recursive,
        options.set,
        options.clear,
        options.set_all,
        options.clear_all,
        options.propagation,
    )


def _cgroup_part(target: bytes, options: Options, cgroup: bytes, hierarchy: Hierarchy) -> Op:
    trees = hierarchy.mounts()
    if [name for name, _, _ in trees] == [b""]:
        # v2 without a namespace of its own: the whole tree, as the machine has it.
        root = hierarchy.directories(cgroup)[0].removesuffix(b"/" + cgroup)
        return BindMount(root, target, False, options.set, options.clear, 0, 0, 0)
    directories = hierarchy.directories(cgroup)
    pairs = zip((name for name, _, _ in trees), directories, strict=False)
    return CgroupPart(target, options.set | MOUNT_ATTR.NOSUID, tuple(pairs))


def devices(bundle: Bundle) -> Iterator[Op]:
    """After the mounts, so into the /dev that one of them may be."""
    nodes = tuple(_device(value) for value in bundle.config.get("linux", "devices").items())
    named = {node[0] for node in nodes}
    whole = any(
        posixpath.normpath(value.get("destination").text()) == "/dev"
        and Options(value.get("options").texts()).bind
        for value in bundle.config.get("mounts").items()
    )
    if not whole:
        # The machine's own /dev has them.
        nodes = (*(node for node in NULL_AND_KIN if node[0] not in named), *nodes)
    if nodes:
        yield Nodes(nodes, "user" in bundle.namespaces)
    if not whole:
        kcore = os.path.exists("/proc/kcore")
        yield Links(tuple(link for link in LINKS if kcore or link[0] != b"/dev/core"))


def _device(value: Value) -> tuple[bytes, str, int, int, int, int, int]:
    path = value.get("path").text()
    if not posixpath.isabs(path) or ".." in path.split("/"):
        raise value.get("path").error(f"{path!r} must be absolute and without '..'")
    kind = value.get("type").choice(tuple(TYPES))
    need = None if kind != "p" else 0
    return (
        os.fsencode(posixpath.normpath(path)),
        kind,
        value.get("major").number(need),
        value.get("minor").number(need),
        value.get("fileMode").number(0o666) & 0o7777,
        value.get("uid").number(0),
        value.get("gid").number(0),
    )
