"""Whatever fails, and wherever: it is told by step and object, and nothing of it is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.runtime import scmp
from tests.real.oci import breaking
from tests.real.oci.conftest import MINUTE, Oci
from tests.real.oci.test_namespaces import MAPPING, passable, shows_other_ids, with_namespaces

TOLD = "limit-cgroup 1 settings: /no/such/file <- 1: No such file or directory"


def broken(oci: Oci, *words: str) -> list[tuple[str, int, str, list[str]]]:
    command = [sys.executable, breaking.__file__, str(oci.root), oci.home.name, *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=MINUTE)
    assert ran.returncode == 0, ran.stderr
    found: list[tuple[str, int, str, list[str]]] = json.loads(ran.stdout)
    return found


def everything(oci: Oci, source: Path) -> dict[str, Any]:
    """Something of each kind that there is to do."""
    hook = [{"path": "/bin/true"}]
    points = ("prestart", "createRuntime", "createContainer", "startContainer", "poststop")
    return {
        "hooks": dict.fromkeys(points, hook),
        "domainname": "example.org",
        "root__readonly": True,
        "process__oomScoreAdj": 10,
        "process__rlimits": [{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60}],
        "process__ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
        "process__scheduler": {"policy": "SCHED_BATCH"},
        "mounts": [
            *oci.spec["mounts"],
            {"destination": "/v", "source": str(source), "options": ["rbind", "ro"]},
            {"destination": "/etc", "type": "tmpfs", "options": ["tmpcopyup"]},
        ],
        "linux__sysctl": {"kernel.msgmax": "1234"},
        "linux__personality": {"domain": "LINUX"},
        "linux__resources": {
            "memory": {"limit": 64 << 20, "useHierarchy": True},
            "devices": [{"allow": False, "access": "rwm"}],
        },
    }


def assert_told_and_gone(results: list[tuple[str, int, str, list[str]]], least: int) -> None:
    assert len(results) >= least
    for name, code, said, left in results:
        assert code == 1, name
        assert TOLD in said, (name, said)
        assert left == [], name


def test_a_failure_before_each_operation_of_a_container(oci: Oci, tmp_path: Path) -> None:
    bundle = oci.bundle("a", "true", **everything(oci, tmp_path))
    results = broken(oci, "run", "-b", str(bundle), "a")
    assert_told_and_gone(results, 35)
    names = {name for name, _, _, _ in results}
    assert {"create-cgroup", "bind", "container-hooks", "gate", "seccomp", "exec"} <= names


def test_a_failure_before_each_operation_in_a_user_namespace(oci: Oci) -> None:
    volume = oci.home / "volume"
    volume.mkdir()
    how = ["bind", "idmap"] if shows_other_ids(volume) else ["bind"]
    mount = {"destination": "/v", "source": str(volume), "options": how}
    namespaces = with_namespaces(oci, {"type": "user"})
    if os.path.exists("/proc/self/ns/time"):
        namespaces.append({"type": "time"})
    rule = {"names": ["mkdir"], "action": scmp.NOTIFY}
    bundle = oci.bundle(
        "a",
        "true",
        mounts=[*oci.spec["mounts"], mount],
        linux__namespaces=namespaces,
        linux__uidMappings=MAPPING,
        linux__gidMappings=MAPPING,
        linux__seccomp={
            "defaultAction": scmp.ALLOW,
            "syscalls": [rule],
            # Where nobody listens: the last failure is one of its own.
            "listenerPath": str(oci.home / "nobody"),
        },
    )
    passable(bundle)
    (bundle / "rootfs/v").mkdir()
    results = broken(oci, "run", "-b", str(bundle), "a")
    before = [name for name, _, _, _ in results].index("seccomp-listener") + 1
    assert_told_and_gone(results[:before], 25)
    for name, code, said, left in results[before:]:
        assert (code, left) == (1, []), name
        assert "seccomp-listener" in said


def test_a_failure_before_each_operation_of_an_exec(oci: Oci) -> None:
    oci.create("a", "sleep", "100")
    oci.ok("start", "a")
    assert_told_and_gone(broken(oci, "exec", "a", "true"), 10)
    assert json.loads(oci.ok("ps", "-f", "json", "a")) == [oci.state("a")["pid"]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"root__path": "no-such"}, ["bind-root", "no-such", "No such file"]),
        ({"root__path": "config.json"}, ["bind-root", "config.json", "Not a directory"]),
        ({"hostname": "x" * 65}, ["hostname: is longer than 64 bytes"]),
        ({"process__args": ["/bin"]}, ["find /bin", "permission denied"]),
        ({"process__cwd": "/etc/passwd"}, ["workdir /etc/passwd", "Not a directory", "workingDir"]),
        ({"process__oomScoreAdj": 2000}, ["oom-score 2000", "Invalid argument"]),
        (
            {"process__rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}]},
            ["gate: Too many open files", "RLIMIT_NOFILE"],
        ),
        (
            {"process__scheduler": {"policy": "SCHED_FIFO", "priority": 1000}},
            ["scheduler", "Invalid argument", "priority"],
        ),
        (
            {"mounts": [{"destination": "/x", "type": "no-such"}]},
            ["mount no-such on /x", "No such"],
        ),
        (
            {"mounts": [{"destination": "/x", "type": "tmpfs", "options": ["size=much"]}]},
            ["mount tmpfs on /x", "size"],
        ),
        (
            {"mounts": [{"destination": "/etc/passwd", "type": "tmpfs"}]},
            ["mount tmpfs on /etc/passwd", "Not a directory"],
        ),
        (
            {"linux__sysctl": {"net.no.such": "1"}},
            ["sysctl net/no/such", "/proc/sys/net/no/such <- 1", "No such file"],
        ),
        (
            {"linux__sysctl": {"kernel.msgmax": "much"}},
            ["sysctl kernel/msgmax", "<- much", "Invalid argument"],
        ),
        (
            {"linux__devices": [{"path": "/etc/passwd", "type": "c", "major": 1, "minor": 3}]},
            ["devices", "/etc/passwd", "is there already, and is not the device c 1:3"],
        ),
        (
            {"linux__resources": {"cpu": {"quota": 1}}},
            ["limit-cgroup", "<- 1", "Invalid argument", "a limit that this kernel"],
        ),
        ({"linux__resources": {"pids": {"limit": 1 << 40}}}, ["limit-cgroup", "pids.max"]),
        ({"hooks": {"createRuntime": [{"path": "/no/such"}]}}, ["createRuntime /no/such: No such"]),
        ({"hooks": {"startContainer": [{"path": "/x"}]}}, ["container-hooks startContainer", "/x"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_the_kernel_refuses_is_told_by_step_and_object(
    oci: Oci, changes: dict[str, Any], words: list[str]
) -> None:
    mounts = changes.pop("mounts", None)
    if mounts is not None:
        changes["mounts"] = [*oci.spec["mounts"], *mounts]
    # Else the last one shown is what stands there.
    bundle = oci.bundle("a", "true", **changes)
    said = oci.refused("run", "-b", str(bundle), "a")
    for word in words:
        assert word in said
    assert list(oci.root.iterdir()) == []


def test_a_pid_file_that_cannot_be_written_ends_the_creation(oci: Oci) -> None:
    bundle = oci.bundle("a", "sleep", "100")
    said = oci.refused("create", "-b", str(bundle), "--pid-file", "/no/such/file", "a")
    assert "/no/such/" in said
    assert list(oci.root.iterdir()) == []
