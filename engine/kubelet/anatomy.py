"""A container taken apart: its process, namespaces, cgroup, layers, mounts, capabilities, and the
plan that made it. Read from the kernel at the moment of asking; what a dead container no longer has
is left out.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.images.changes import changes
from engine.images.rootfs import Rootfs, open_rootfs
from engine.images.types import Image
from engine.kubelet.processes import confinement, processes
from engine.linux.flags import cap_name
from engine.runtime.cgroup.api import Hierarchy, Resources
from engine.runtime.runtime import ContainerState, SandboxState

CHANGES_MAX = 500
_SETS = {
    "CapBnd": "bounding",
    "CapEff": "effective",
    "CapPrm": "permitted",
    "CapInh": "inheritable",
}


def anatomy(
    state: ContainerState | None,
    *,
    hierarchy: Hierarchy,
    resources: Resources,
    folder: Path,
    image: Image | None,
    sharing: Mapping[str, list[str]],
    siblings: Sequence[ContainerState] = (),
    sandbox: SandboxState | None = None,
) -> dict[str, Any]:
    """`sharing`: references of the images that stand on each layer, by diff id. `siblings`: the
    other containers of its pod that run. Blocking."""
    result: dict[str, Any] = {"pid": None, "namespaces": {}, "mounts": [], "capabilities": {}}
    if state is not None:
        result["cgroup"] = _cgroup(state, hierarchy, resources)
        result["plan"] = [
            {"op": op, "object": about, "microseconds": us} for op, about, us in state.trace
        ]
        if state.finished_at is None:
            result |= _process(state.pid, siblings)
            result["processes"] = processes(hierarchy.procs(state.cgroup))
    if sandbox is not None:
        result["network"] = _network(sandbox)
    try:
        rootfs = open_rootfs(folder)
    except FileNotFoundError:
        return result
    return result | _rootfs(rootfs, image, sharing)


def _process(pid: int, siblings: Sequence[ContainerState]) -> dict[str, Any]:
    proc = Path(f"/proc/{pid}")
    try:
        namespaces = _namespaces(proc)
        mounts = _mounts((proc / "mountinfo").read_text(errors="replace"))
        capabilities = _capabilities((proc / "status").read_text())
        return {
            "pid": pid,
            "namespaces": namespaces,
            "sharedBy": _sharers(namespaces, siblings),
            "mounts": mounts,
            "capabilities": capabilities,
            "confinement": confinement(pid),
        }
    except (FileNotFoundError, ProcessLookupError):
        return {}


def _namespaces(proc: Path) -> dict[str, int]:
    """Inode numbers by kind: namespaces(7)."""
    return {
        name: int(os.readlink(proc / "ns" / name).partition("[")[2].rstrip("]"))
        for name in sorted(os.listdir(proc / "ns"))
        if not name.endswith("_for_children")
    }


_OWN = ("mnt", "pid", "cgroup")
"""Those that a container never shares unless its pod asks for it; others are its pod's."""


def _sharers(namespaces: dict[str, int], siblings: Sequence[ContainerState]) -> dict[str, str]:
    """Whose each namespace is: `container`, `pod`, or the machine's, which is `machine`."""
    ours = _namespaces(Path("/proc/self"))
    theirs = []
    for state in siblings:
        try:
            theirs.append(_namespaces(Path(f"/proc/{state.pid}")))
        except (FileNotFoundError, ProcessLookupError):
            continue
    found = {}
    for name, inode in namespaces.items():
        if ours.get(name) == inode:
            found[name] = "machine"
        elif name not in _OWN or any(other.get(name) == inode for other in theirs):
            found[name] = "pod"
        else:
            found[name] = "container"
    return found


def _network(sandbox: SandboxState) -> dict[str, Any]:
    """The pod's cable: its end inside, the node's end, and where it leads."""
    return {
        "interface": "eth0" if sandbox.ip else "",
        "ip": sandbox.ip,
        "prefix": sandbox.prefix,
        "gateway": sandbox.gateway,
        "link": sandbox.link,
        "bridge": sandbox.bridge,
        "mtu": sandbox.mtu,
    }


def _mounts(mountinfo: str) -> list[dict[str, str]]:
    """proc_pid_mountinfo(5): ... root point options ... - fstype source super-options."""
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, (fstype, source, options) = before.split(), after.split(" ", 2)
        found.append(
            {
                "path": _unescaped(fields[4]),
                "type": fstype,
                "source": _unescaped(source),
                "root": _unescaped(fields[3]),
                "options": fields[5],
                "superOptions": options,
            }
        )
    return found


def _unescaped(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text


def _capabilities(status: str) -> dict[str, list[str]]:
    found = {}
    for line in status.splitlines():
        key, _, value = line.partition(":")
        if key in _SETS:
            bits = int(value, 16)
            found[_SETS[key]] = [
                cap_name(number) for number in range(bits.bit_length()) if bits >> number & 1
            ]
    return found


def _cgroup(state: ContainerState, hierarchy: Hierarchy, resources: Resources) -> dict[str, Any]:
    limits = {name: value for name, value in resources.fields().items() if value is not None}
    found: dict[str, Any] = {"path": state.cgroup.decode(), "limits": limits, "sample": None}
    found["directories"] = [os.fsdecode(path) for path in hierarchy.directories(state.cgroup)]
    try:
        sample = hierarchy.sample(state.cgroup)
    except OSError:
        return found  # it ended, and its cgroup went with it
    found["sample"] = {name: getattr(sample, name) for name in sample.__slots__}
    found["sample"]["workingSet"] = sample.working_set
    return found


def _rootfs(
    rootfs: Rootfs, image: Image | None, sharing: Mapping[str, list[str]]
) -> dict[str, Any]:
    changed = changes(rootfs.upper, rootfs.lowerdirs, limit=CHANGES_MAX)
    init, *lowers = rootfs.lowerdirs
    layers: list[dict[str, Any]] = [
        {
            "kind": "rw",
            "path": str(rootfs.upper),
            "size": changed.size,
            "entries": len(changed.changes),
        },
        {"kind": "init", "path": str(init), "createdBy": "mount points of the runtime"},
    ]
    known = list(reversed(image.layers)) if image is not None else []
    own = image.reference if image is not None else ""
    for number, path in enumerate(lowers):
        layer: dict[str, Any] = {"kind": "image", "path": str(path)}
        if len(known) == len(lowers):
            facts = known[number]
            layer |= {
                "digest": str(facts.digest),
                "diffID": str(facts.diff_id),
                "createdBy": facts.created_by,
                "size": facts.unpacked_size,
                "entries": facts.entries,
                "sharedWith": [each for each in sharing.get(str(facts.diff_id), []) if each != own],
            }
        layers.append({key: value for key, value in layer.items() if value is not None})
    return {
        "layers": layers,
        "changes": [asdict(change) for change in changed.changes],
        "changedBytes": changed.size,
    }
