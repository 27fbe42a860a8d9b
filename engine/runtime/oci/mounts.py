"""mounts and linux.devices of a bundle, as operations."""

from __future__ import annotations

import os
import posixpath

from engine.linux.flags import MOUNT_ATTR
from engine.linux.namespace import in_user_namespace
from engine.runtime.oci.bundle import Bundle
from engine.runtime.oci.devices import LINKS, NULL_AND_KIN, TYPES, Links, Nodes
from engine.runtime.oci.document import Value
from engine.runtime.oci.labels import mount_label
from engine.runtime.oci.mapping import has, mapping
from engine.runtime.oci.mounting import (
    BindMount,
    CgroupPart,
    CopiedUp,
    MapMount,
    MappedBind,
    NewMount,
    OrMachines,
)
from engine.runtime.oci.options import Options
from engine.runtime.ops.base import Op, shown
from engine.runtime.ops.mounts import CgroupView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.runtime.cgroup.api import Hierarchy

_KERNEL = ("proc", "sys", "dev")
_MAPPINGS = ("uidMappings", "gidMappings")
# Which a user namespace may not always make anew, and where the machine has its own.
_MACHINES = {"sysfs": b"/sys", "mqueue": b"/dev/mqueue", "proc": b"/proc"}


# Whose files have no labels of their own.
_LABELLED = ("tmpfs", "mqueue", "devpts", "ramfs")


def mounts(bundle: Bundle, cgroup: bytes, hierarchy: Hierarchy) -> Iterator[Op]:
    for value in bundle.config.get("mounts").items():
        yield _mount(value, bundle, cgroup, hierarchy)


def mapped(bundle: Bundle) -> Iterator[Op]:
    """What has to be done for them before there is a container."""
    for value in bundle.config.get("mounts").items():
        options = Options(value.get("options").texts())
        if not _is_mapped(value, options):
            continue
        uids, gids = (mapping(value.get(name)) for name in _MAPPINGS)
        namespace = ""
        if not uids and not gids:
            namespace = bundle.namespaces.get("user", "")
            uids, gids = (mapping(bundle.config.get("linux", name)) for name in _MAPPINGS)
        if bool(uids) != bool(gids):
            raise value.get("uidMappings").error("goes together with gidMappings")
        if not uids and not namespace:
            text = "needs uidMappings and gidMappings, or a user namespace that has some"
            raise value.get("options").error(f"idmap {text}")
        yield MapMount(
            os.fsencode(os.path.join(bundle.path, value.get("source").text())),
            _target(value),
            options.recursive,
            options.mapped_all,
            uids,
            gids,
            os.fsencode(namespace),
        )


def _is_mapped(value: Value, options: Options) -> bool:
    return options.mapped or any(value.get(name).raw for name in _MAPPINGS)


def _target(value: Value) -> bytes:
    destination = value.get("destination").text()
    target = os.fsencode("/" + posixpath.normpath("/" + destination).lstrip("/"))
    if target == b"/":
        raise value.get("destination").error(f"{destination!r}: the root is not mounted over")
    return target


def _mount(value: Value, bundle: Bundle, cgroup: bytes, hierarchy: Hierarchy) -> Op:
    target = _target(value)
    options = Options(value.get("options").texts())
    kind = value.get("type").text("")
    source = value.get("source").text("")
    if options.bind or kind in ("", "bind", "none"):
        return _bind(value, bundle, target, source, options)
    if _is_mapped(value, options):
        raise value.error("only bind mounts can show other ids (idmap, uidMappings, gidMappings)")
    if kind in ("cgroup", "cgroup2"):
        if "cgroup" in bundle.namespaces:
            return CgroupView(target, options.set, tuple(hierarchy.mounts()))
        return _cgroup_part(target, options, cgroup, hierarchy)
    below_proc = target == b"/proc" or target.startswith(b"/proc/")
    if below_proc and kind != "proc":
        raise value.get("destination").error(f"{shown(target)}: nothing may be mounted there")
    if options.copy_up and kind != "tmpfs":
        raise value.get("options").error("tmpcopyup is for a tmpfs")
    return _kind_of(kind, target, options, bundle)(
        kind.encode(),
        os.fsencode(source or kind),
        target,
        options.set,
        tuple(_data(kind, options, bundle)),
        options.propagation,
        target.split(b"/")[1].decode(errors="replace") in _KERNEL,
    )


def _kind_of(kind: str, target: bytes, options: Options, bundle: Bundle) -> type[NewMount]:
    if options.copy_up:
        return CopiedUp
    own_pids = kind == "proc" and bundle.namespaces.get("pid") == ""
    if "user" in bundle.namespaces and _MACHINES.get(kind) == target and not own_pids:
        return OrMachines
    return NewMount


def _data(kind: str, options: Options, bundle: Bundle) -> Iterator[tuple[bytes, bytes]]:
    """Options of the filesystem, without a group of terminals that the user namespace lacks."""
    gids = mapping(bundle.config.get("linux", "gidMappings"))
    if kind in _LABELLED and (label := mount_label(bundle.config.get("linux"))):
        yield b"context", label.encode()
    for key, word in options.data:
        group = kind == "devpts" and key == b"gid" and word.isdigit()
        if not (group and gids and not has(gids, int(word))):
            yield key, word


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
    return (MappedBind if _is_mapped(value, options) else BindMount)(
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
        yield Nodes(nodes, "user" in bundle.namespaces or in_user_namespace())
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
