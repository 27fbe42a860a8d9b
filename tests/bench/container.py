"""The one container that every runtime starts: its layers, its limits, and how each is told of it.

It runs a program that writes the time as its first instruction. What is isolated, and how, is the
engine's own plan; the floor and the OCI runtimes are given the same words.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from engine.runtime.capabilities import mask
from engine.runtime.cgroup.api import Hierarchy, Resources
from engine.runtime.keeper.spares import sysctls
from engine.runtime.ops.cgroups import LimitCgroup
from engine.runtime.plan import Plan, Preparation, Target, compile, prepare
from engine.runtime.spec import Spec, default_spec

HOSTNAME = "bench"
STAY = "-"
"""What the program is told that is to stay until SIGTERM."""
FILES = ("hosts", "hostname", "resolv.conf")
_SOURCES = Path(__file__).parent / "floor"
_LIMITS = Resources(
    cpu_shares=512,
    cpu_quota_us=50_000,
    cpu_period_us=100_000,
    memory_limit=64 << 20,
    pids_limit=64,
)
_FOLDERS = ("bin", "etc", "proc", "dev", "sys", "tmp", "var", "usr", "home", "root")


def build(name: str, folder: Path, *options: str) -> Path:
    """Compile one of the floor's programs."""
    program = folder / name
    source = _SOURCES / f"{name}.c"
    flags = ("-O2", "-Wall", "-Wextra", "-Werror", *options)
    subprocess.run(["cc", *flags, "-o", str(program), str(source)], check=True)
    return program


def build_stamp(folder: Path) -> Path:
    """The program that writes the time, without a C library."""
    return build("stamp", folder, "-static", "-nostdlib", "-fno-stack-protector")


@dataclass(frozen=True)
class Container:
    """Below `folder`, on what is in `layers`; `cgroup` is relative and its parent exists."""

    folder: Path
    hierarchy: Hierarchy
    cgroup: bytes
    layers: Path

    @classmethod
    def make(cls, folder: Path, hierarchy: Hierarchy, cgroup: bytes) -> Container:
        made = cls(folder, hierarchy, cgroup, folder)
        base, middle, top = made.lowers[::-1]
        for name in _FOLDERS:
            (base / name).mkdir(parents=True)
        (middle / "usr" / "lib").mkdir(parents=True)
        (top / "bin").mkdir(parents=True)
        build_stamp(top / "bin")
        for name in FILES:
            (base / "etc" / name).touch()
            (folder / name).write_text("127.0.0.1 localhost\n")
        return made

    @property
    def lowers(self) -> tuple[Path, ...]:
        """The uppermost first."""
        return tuple(self.layers / f"layer-{number}" for number in (3, 2, 1))

    def another(self, name: str) -> Container:
        """On the same layers."""
        (self.folder / name).mkdir(exist_ok=True)
        cgroup = self.cgroup.rpartition(b"/")[0] + b"/" + name.encode()
        return Container(self.folder / name, self.hierarchy, cgroup, self.layers)

    def fresh(self) -> None:
        """Empty layers for what the container writes."""
        for name in ("upper", "work"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir()

    def spec(self, *shown: str) -> Spec:
        """`shown`: files that the program is to copy out instead of the time."""
        return default_spec(("/bin/stamp", *shown), env=("PATH=/bin",))

    def plan(self, id: str, sandbox: str, *shown: str) -> Plan:
        target = Target(
            container_id=id,
            sandbox=sandbox,
            lowerdirs=self.lowers,
            upper=self.folder / "upper",
            work=self.folder / "work",
            hosts=self.layers / "hosts",
            hostname=self.layers / "hostname",
            resolv_conf=self.layers / "resolv.conf",
            cgroup=self.cgroup,
            hierarchy=self.hierarchy,
            resources=_LIMITS,
        )
        return compile(self.spec(*shown), target)

    def preparation(self, id: str, sandbox: str) -> Preparation:
        """What is told of it ahead."""
        return prepare(
            default_spec(),
            container_id=id,
            sandbox=sandbox,
            cgroup=self.cgroup,
            hierarchy=self.hierarchy,
        )

    def floor(self) -> tuple[Path, Path]:
        """The files that tell the floor: its configuration, its seccomp program."""
        plan, spec = self.plan("floor", "floor"), self.spec()
        ops: dict[str, Any] = {op.NAME: op for op in plan.child_ops}
        limits = [op for op in (*plan.host_ops, *plan.limit_ops) if isinstance(op, LimitCgroup)]
        lines: list[tuple[object, ...]] = [
            ("lowers", ":".join(map(str, self.lowers))),
            ("upper", self.folder / "upper"),
            ("work", self.folder / "work"),
            ("hostname", HOSTNAME),
            ("bounding", mask(spec.process.capabilities.bounding)),
            *(("cgroup", d.decode()) for d in self.hierarchy.directories(self.cgroup)),
            *(("limit", f.decode(), v.decode()) for op in limits for f, v in op.writes),
            *(("join", file.decode()) for file in ops["join-cgroup"].files),
            *(("bind", self.layers / name, f"etc/{name}") for name in FILES),
            *(("tree", (n or t).decode()) for n, t, _ in self.hierarchy.mounts()),
            *(("read-only", path[1:]) for path in spec.linux.readonly_paths),
            *(("mask", path[1:]) for path in spec.linux.masked_paths),
            *(("sysctl", file.decode(), value.decode()) for file, value in sysctls()),
        ]
        if ops["join-cgroup"].born:
            lines.append(("born", ops["join-cgroup"].born.decode()))
        config, program = self.folder / "floor.conf", self.folder / "floor.bpf"
        config.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))
        program.write_bytes(ops["seccomp"].program)
        return config, program

    def rootfs(self) -> Path:
        """For others, which join no layers: they get them as one folder."""
        folder = self.layers / "rootfs"
        if not folder.exists():
            for layer in self.lowers[::-1]:
                shutil.copytree(layer, folder, dirs_exist_ok=True)
        return folder

    def bundle(self, name: str, *args: str) -> Path:
        """For OCI runtimes, in a cgroup of that name beside this one's."""
        folder = self.folder / f"bundle-{name}"
        folder.mkdir(exist_ok=True)
        spec = json.loads(msgspec.json.encode(self.spec(*args)))
        # Ours leaves out what is as usual; these are required.
        spec["ociVersion"] = "1.0.2"
        spec["process"] |= {"cwd": "/", "user": {"uid": 0, "gid": 0}}
        spec["root"] = {"path": str(self.rootfs())}
        spec["hostname"] = HOSTNAME
        spec["mounts"] += [
            {
                "destination": f"/etc/{file}",
                "source": str(self.layers / file),
                "type": "bind",
                "options": ["bind"],
            }
            for file in FILES
        ]
        parent = self.cgroup.rpartition(b"/")[0].decode()
        spec["linux"]["cgroupsPath"] = f"/{parent}/{name}"
        spec["linux"]["resources"] = {
            "cpu": {"shares": 512, "quota": 50_000, "period": 100_000},
            "memory": {"limit": 64 << 20},
            "pids": {"limit": 64},
        }
        (folder / "config.json").write_text(json.dumps(spec))
        return folder


def facts(shown: str) -> dict[str, object]:
    """What of /proc/self/status and /proc/self/mountinfo tells how a process is isolated."""
    status, mounts = {}, []
    for line in shown.splitlines():
        key, colon, value = line.partition(":\t")
        if colon and key in _TELLING:
            status[key] = value.strip()
        elif " - " in line:
            before, _, after = line.partition(" - ")
            _, _, _, root, at, options, *_ = before.split(" ")
            type_ = after.split(" ")[0]
            # Where the files of /etc come from is each runtime's own folder.
            mounts.append((at, type_, "" if at.startswith("/etc/") else root, options))
    return {**status, "mounts": sorted(mounts)}


_TELLING = (
    "Uid",
    "Gid",
    "Groups",
    "Umask",
    "NSpid",
    "SigBlk",
    "SigIgn",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
)
