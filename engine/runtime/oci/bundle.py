"""A bundle: a directory with a config.json and, mostly, the root filesystem that it names."""

from __future__ import annotations

import os
import posixpath

from engine.runtime.oci.document import Value, read

NEW = ("pid", "network", "ipc", "uts", "mount", "user", "cgroup", "time")

# What the specification has a runtime refuse when it cannot do it, and why it cannot.
_REFUSED = {
    ("linux", "intelRdt"): "caches are not shared out here (resctrl)",
    ("linux", "memoryPolicy"): "the kernel's choice of memory is left as it is; use cpu.mems",
    ("linux", "netDevices"): "devices are not moved; join a network namespace that has them",
    ("vm",): "containers here are no virtual machines",
    ("windows",): "this is Linux",
    ("solaris",): "this is Linux",
    ("freebsd",): "this is Linux",
    ("zos",): "this is Linux",
}


class Bundle:
    """`config` is the document; `namespaces` has the path for each type, "" for a new one."""

    __slots__ = ("annotations", "config", "namespaces", "path", "rootfs")

    def __init__(self, path: str, config: Value) -> None:
        self.path = path
        self.config = config
        version = config.get("ociVersion")
        if version.text().split(".")[0] != "1":
            raise version.error(f"{version.text()!r} is not a version 1 of the specification")
        if not config.get("linux"):
            raise config.get("linux").error("is missing, and this is Linux")
        for names, why in _REFUSED.items():
            if config.get(*names).raw:
                raise config.get(*names).error(f"is not supported: {why}; leave it out")
        self.rootfs = os.path.join(path, config.get("root", "path").text())
        self.annotations = {key: value.text() for key, value in config.get("annotations").entries()}
        self.namespaces: dict[str, str] = {}
        for item in config.get("linux", "namespaces").items():
            kind = item.get("type").choice(NEW)
            if kind in self.namespaces:
                raise item.error(f"a second namespace of type {kind}")
            self.namespaces[kind] = item.get("path").text("")
            if self.namespaces[kind] and not posixpath.isabs(self.namespaces[kind]):
                raise item.get("path").error("must be an absolute path")

    @classmethod
    def load(cls, path: str) -> Bundle:
        """Raise ConfigError."""
        path = os.path.abspath(path)
        return cls(path, read(os.path.join(path, "config.json"), "bundle"))

    def cgroup(self, id: str) -> bytes:
        """Relative to the root of every hierarchy. Raise ConfigError."""
        value = self.config.get("linux", "cgroupsPath")
        path = value.text("") or f"podarium-oci-{id}"
        if path.count(":") == 2 and "/" not in path:
            path = _scope(path)
        parts = [part for part in path.split("/") if part]
        if ".." in parts or "." in parts or not parts:
            raise value.error(f"{path!r} names no cgroup")
        return os.fsencode("/".join(parts))


def _scope(path: str) -> str:
    """systemd's SLICE:PREFIX:NAME, as the directories that systemd would make of it."""
    slice_, prefix, name = path.split(":")
    stem = slice_.removesuffix(".slice")
    words = [word for word in stem.split("-") if word]
    above = ["-".join(words[: n + 1]) + ".slice" for n in range(len(words))]
    scope = name if name.endswith(".slice") else f"{prefix}-{name}.scope".lstrip("-")
    return "/".join([*above, scope])
