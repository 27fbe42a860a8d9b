"""What a config.json becomes, and what is refused, with the name of the field."""

from __future__ import annotations

import copy
import os
import struct
from typing import Any

import pytest

from engine.linux.flags import CLONE, MOUNT_ATTR, MS
from engine.runtime.cgroup import devicefilter
from engine.runtime.cgroup.api import Hierarchy
from engine.runtime.oci import labels
from engine.runtime.oci.bundle import Bundle
from engine.runtime.oci.document import ConfigError, Value
from engine.runtime.oci.plan import Plan, compile
from engine.runtime.ops.base import Op
from tests.unit.oci.trees import Trees, Unified

CONFIG: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "process": {
        "user": {"uid": 7, "gid": 8, "additionalGids": [9], "umask": 63},
        "args": ["sh", "-c", "true"],
        "env": ["PATH=/bin"],
        "cwd": "/",
        "capabilities": {
            "bounding": ["CAP_CHOWN"],
            "permitted": ["CAP_CHOWN"],
            "effective": ["CAP_CHOWN"],
            "inheritable": [],
            "ambient": ["CAP_CHOWN"],
        },
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}],
        "noNewPrivileges": True,
        "oomScoreAdj": 100,
    },
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "web",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/data", "source": "data", "options": ["rbind", "rro", "rslave"]},
    ],
    "linux": {
        "namespaces": [
            {"type": "pid"},
            {"type": "mount"},
            {"type": "uts"},
            {"type": "ipc"},
            {"type": "network", "path": "/run/netns/n"},
            {"type": "cgroup"},
        ],
        "sysctl": {"net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1"},
        "seccomp": {"defaultAction": "SCMP_ACT_ALLOW"},
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/proc/sys"],
        "resources": {"pids": {"limit": 5}},
        "cgroupsPath": "/parent/c",
    },
}


@pytest.fixture(autouse=True)
def without_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has."""
    monkeypatch.setattr(labels, "apparmor", lambda: False)
    monkeypatch.setattr(labels, "selinux", lambda: False)


MAPPINGS = ("uidMappings", "gidMappings")
MAP = [{"containerID": 0, "hostID": 1, "size": 1}]


def plan(**changes: Any) -> Plan:
    """Of the config above with `changes`: names of fields with their dots as "__"."""
    config = copy.deepcopy(CONFIG)
    for name, value in changes.items():
        *path, last = name.split("__")
        place: Any = config
        for part in path:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        if isinstance(place, list):
            place[int(last) :] = [value, *place[int(last) + 1 :]]
        else:
            place[last] = value
    bundle = Bundle("/b", Value(config))
    return compile(bundle, "c", Trees(), held=~0, listener=3)


def named(plan: Plan, name: str) -> Op:
    return next(op for op in plan.child_ops if name == op.NAME)


def test_the_order_of_a_container() -> None:
    made = plan()
    assert [op.NAME for op in made.child_ops] == [
        "join-cgroup",
        "join-namespaces",
        "unshare-cgroup",
        "names",
        "sysctl",
        "oom-score",
        "propagation",
        "bind-root",
        "mount",
        "bind",
        "devices",
        "links",
        "read-only-paths",
        "mask",
        "read-only-root",
        "leave-tree",
        "stdio",
        "workdir",
        "rlimits",
        "find",
        "bounding",
        "user",
        "capabilities",
        "no-new-privileges",
        "gate",
        "seccomp",
        "signals",
        "close-descriptors",
        "exec",
    ]
    assert made.clone_flags == CLONE.NEWPID | CLONE.NEWNS | CLONE.NEWUTS | CLONE.NEWIPC
    assert made.cgroup == b"parent/c"
    assert [op.NAME for op in made.host_ops] == ["create-cgroup", "limit-cgroup"]


def test_without_no_new_privileges_the_filter_comes_while_it_still_may() -> None:
    names = [op.NAME for op in plan(process__noNewPrivileges=False).child_ops]
    assert names.index("gate") < names.index("seccomp") < names.index("bounding")


def test_labels_are_told_just_before_the_exec(monkeypatch: pytest.MonkeyPatch) -> None:
    """To a file of the machine's /proc, opened while that is what is there."""
    monkeypatch.setattr(labels, "apparmor", lambda: True)
    names = [op.NAME for op in plan(process__apparmorProfile="p").child_ops]
    assert names[:2] == ["join-cgroup", "hold-label"]
    assert names[names.index("label") :] == [
        *("label", "seccomp", "signals", "close-descriptors", "exec")
    ]
    monkeypatch.setattr(labels, "selinux", lambda: True)
    with pytest.raises(ConfigError, match="apparmorProfile: goes without a selinuxLabel"):
        plan(process__apparmorProfile="p", process__selinuxLabel="l")
    tmpfs = {"destination": "/t", "type": "tmpfs", "options": ["size=1k"]}
    made = plan(linux__mountLabel="u:r:t:s0:c1,c2", mounts=[tmpfs])
    assert named(made, "mount").__dict__["data"] == (
        (b"context", b"u:r:t:s0:c1,c2"),
        (b"size", b"1k"),
    )


def test_a_cgroup_is_its_containers_own_where_that_is_safe() -> None:
    config = copy.deepcopy(CONFIG)
    view = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}
    config["mounts"].append(view)
    config["linux"]["namespaces"].append({"type": "user"})
    config["linux"] |= {name: [{**MAP[0], "hostID": 100, "size": 10}] for name in MAPPINGS}
    config["process"]["user"]["uid"] = 7

    def owned(hierarchy: Hierarchy) -> list[str]:
        made = compile(Bundle("/b", Value(config)), "c", hierarchy, held=~0, listener=3)
        return [op.about for op in made.host_ops if op.NAME == "own-cgroup"]

    assert owned(Unified(b"pids")) == ["107 /sys/fs/cgroup/unified/parent/c"]
    assert owned(Trees()) == []
    view["options"] = ["ro"]  # type: ignore[assignment]
    assert owned(Unified(b"pids")) == []


def test_hooks_come_where_the_specification_has_them() -> None:
    hooks = {
        point: [{"path": "/bin/true"}]
        for point in ("prestart", "createRuntime", "createContainer", "startContainer")
    }
    names = [op.NAME for op in plan(hooks=hooks).child_ops]
    links, runtime = names.index("links"), names.index("runtime-hooks")
    container = names.index("container-hooks")
    assert links < runtime < container < names.index("leave-tree")
    assert names[names.index("gate") + 1] == "container-hooks"


def test_ambient_capabilities_are_only_those_that_can_be() -> None:
    capabilities = named(plan(), "capabilities").__dict__
    assert capabilities == {"effective": 1, "permitted": 1, "inheritable": 0, "ambient": 0}


def test_what_the_machine_does_not_have_is_not_given() -> None:
    made = compile(Bundle("/b", Value(CONFIG)), "c", Trees(), held=0, listener=3)
    assert named(made, "capabilities").__dict__["permitted"] == 0


def test_sysctls_are_paths_below_proc_sys() -> None:
    assert named(plan(), "sysctl").__dict__["values"] == (
        (b"net/ipv4/ip_forward", b"1"),
        (b"kernel/shm_rmid_forced", b"1"),
    )
    made = plan(linux__sysctl={"net/ipv4/conf/eth0.1/forwarding": "1"})
    assert named(made, "sysctl").__dict__["values"] == ((b"net/ipv4/conf/eth0.1/forwarding", b"1"),)


def test_bind_sources_are_relative_to_the_bundle() -> None:
    bind = named(plan(), "bind").__dict__
    assert bind["source"] == b"/b/data"
    assert bind["set_all"] == MOUNT_ATTR.RDONLY
    assert bind["set"] == 0
    assert bind["propagation"] == MS.SLAVE | MS.REC


def test_the_path_that_systemd_would_make() -> None:
    made = plan(linux__cgroupsPath="machine-a.slice:libpod:x")
    assert made.cgroup == b"machine.slice/machine-a.slice/libpod-x.scope"


def test_a_config_without_a_cgroup_path_gets_one_of_its_own() -> None:
    assert plan(linux__cgroupsPath="").cgroup == b"podarium-oci-c"


def run_filter(program: bytes, kind: str, major: int, minor: int, access: str) -> bool:
    """What the kernel would answer: an interpreter of the instructions that are used."""
    letters = {"m": 1, "r": 2, "w": 4}
    context = {
        0: {"b": 1, "c": 2}[kind] | sum(letters[a] for a in access) << 16,
        4: major,
        8: minor,
    }
    registers = [0] * 7
    code = list(struct.iter_unpack("=BBhi", program))
    at = 0
    while True:
        operation, pair, offset, constant = code[at]
        to, from_ = pair & 15, pair >> 4
        at += 1
        if operation == 0x61:
            registers[to] = context[offset]
        elif operation == 0xB7:
            registers[to] = constant
        elif operation == 0xBF:
            registers[to] = registers[from_]
        elif operation == 0x57:
            registers[to] &= constant
        elif operation == 0x77:
            registers[to] >>= constant
        elif operation in (0x15, 0x55):
            at += offset if (registers[to] == constant) == (operation == 0x15) else 0
        else:
            assert operation == 0x95
            return bool(registers[0])


@pytest.mark.parametrize(
    ("rules", "kind", "numbers", "access", "allowed"),
    [
        ((), "c", (1, 3), "r", False),
        (("c 1:3 rwm",), "c", (1, 3), "rw", True),
        (("c 1:3 rwm",), "b", (1, 3), "rw", False),
        (("c 1:3 r",), "c", (1, 3), "r", True),
        (("c 1:3 r",), "c", (1, 3), "rw", False),
        (("c 136:* rw",), "c", (136, 9), "w", True),
        (("c 136:* rw",), "c", (135, 9), "w", False),
        (("c *:* m",), "c", (7, 7), "m", True),
        (("a *:* rwm",), "b", (8, 0), "rwm", True),
        (("a *:* rwm", "!b 8:* w"), "b", (8, 0), "rw", False),
        (("a *:* rwm", "!b 8:* w"), "b", (8, 0), "r", True),
        (("a *:* rwm", "!b 8:* w", "b 8:1 w"), "b", (8, 1), "w", True),
    ],
)
def test_the_device_filter_of_v2(
    rules: tuple[str, ...], kind: str, numbers: tuple[int, int], access: str, allowed: bool
) -> None:
    assert run_filter(devicefilter.compile(rules), kind, *numbers, access) is allowed


def test_a_pid_namespace_by_path_is_joined_by_the_parent() -> None:
    made = plan(linux__namespaces__0={"type": "pid", "path": "/proc/1/ns/pid"})
    assert made.join_pid == "/proc/1/ns/pid"
    assert not made.clone_flags & CLONE.NEWPID


def test_a_bundle_that_is_not_there_is_named(tmp_path: os.PathLike[str]) -> None:
    with pytest.raises(ConfigError, match=r"bundle .*/config.json: No such file"):
        Bundle.load(os.fspath(tmp_path))
    with open(os.path.join(tmp_path, "config.json"), "w") as file:
        file.write("{")
    with pytest.raises(ConfigError, match=r"config.json: not JSON: "):
        Bundle.load(os.fspath(tmp_path))
