"""A cgroup that is its container's to divide further (config-linux.md, "Cgroup ownership")."""

from __future__ import annotations

import os

from engine.runtime.cgroup import tree
from engine.runtime.cgroup.api import Hierarchy
from engine.runtime.oci.bundle import Bundle
from engine.runtime.oci.document import Value
from engine.runtime.oci.mapping import mapping
from engine.runtime.oci.options import Options
from engine.runtime.ops.base import Context, Op, quoted, shown

_LISTED = b"/sys/kernel/cgroup/delegate"
_AT_LEAST = (b"cgroup.procs", b"cgroup.subtree_control", b"cgroup.threads")


class OwnCgroup(Op):
    """`directory` and what the kernel lists of it belong to `uid`; its limits do not."""

    NAME = "own-cgroup"
    PHASE = "cgroup"
    directory: bytes
    uid: int

    @property
    def about(self) -> str:
        return f"{self.uid} {shown(self.directory)}"

    def apply(self, context: Context) -> None:
        names = tree.read(_LISTED).split() if os.path.exists(_LISTED) else _AT_LEAST
        os.chown(self.directory, self.uid, -1)
        for name in names:
            try:
                os.chown(self.directory + b"/" + name, self.uid, -1)
            except FileNotFoundError:
                # Not every cgroup has all of them.
                continue

    def describe(self) -> str:
        return f"let user {self.uid} divide the cgroup further"

    def shell(self) -> str:
        return f"chown {self.uid} {quoted(self.directory)}; # and the files of {shown(_LISTED)}"


def delegation(bundle: Bundle, cgroup: bytes, hierarchy: Hierarchy) -> OwnCgroup | None:
    """For a container with a view of its own that it can write to; on v1 it would not be safe."""
    if hierarchy.name != "v2" or bundle.namespaces.get("cgroup") != "":
        return None
    if not any(_writable(value) for value in bundle.config.get("mounts").items()):
        return None
    inside = bundle.config.get("process", "user", "uid").number(0)
    for first, outside, size in mapping(bundle.config.get("linux", "uidMappings")):
        if first <= inside < first + size:
            return OwnCgroup(hierarchy.directories(cgroup)[0], outside + inside - first)
    return OwnCgroup(hierarchy.directories(cgroup)[0], inside) if inside else None


def _writable(value: Value) -> bool:
    options = Options(value.get("options").texts())
    is_view = value.get("type").text("") in ("cgroup", "cgroup2") and not options.bind
    return is_view and "ro" not in value.get("options").texts()
