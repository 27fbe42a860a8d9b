"""How a container's process is scheduled, what it is told of the machine, and its terminal."""

from __future__ import annotations

import errno
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from engine.runtime.oci import labels
from tests.real.oci.conftest import Oci


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


@pytest.mark.parametrize(
    ("scheduler", "policy", "priority", "nice"),
    [
        ({"policy": "SCHED_BATCH", "nice": 5}, 3, 0, 5),
        ({"policy": "SCHED_RR", "priority": 3}, 2, 3, 0),
        ({"policy": "SCHED_IDLE"}, 5, 0, 0),
        (
            {"policy": "SCHED_DEADLINE", "runtime": 10**7, "deadline": 10**8, "period": 10**8},
            6,
            0,
            0,
        ),
    ],
    ids=lambda value: value["policy"] if isinstance(value, dict) else "",
)
def test_scheduler(
    oci: Oci, scheduler: dict[str, Any], policy: int, priority: int, nice: int
) -> None:
    bundle = oci.bundle("a", "sleep", "100", process__scheduler=scheduler)
    ran = oci.call("create", "-b", str(bundle), "a", capture_output=False)
    if ran.returncode:
        # On a v1 machine a cgroup has to be given time for such processes first.
        assert policy in (2, 6)
        said = oci.refused("create", "-b", str(bundle), "a")
        assert f"scheduler policy {policy}, nice {nice}, priority {priority}: " in said
        assert os.strerror(errno.EPERM) in said
        return
    fields = _stat(oci.state("a")["pid"])
    assert (int(fields[38]), int(fields[37]), int(fields[16])) == (policy, priority, nice)


def test_io_priority_and_personality(oci: Oci) -> None:
    oci.create(
        "a",
        "sleep",
        "100",
        process__ioPriority={"class": "IOPRIO_CLASS_IDLE", "priority": 7},
        linux__personality={"domain": "LINUX32"},
    )
    pid = oci.state("a")["pid"]
    assert Path(f"/proc/{pid}/personality").read_text().strip() == "00000008"


def test_cpus_of_an_exec(oci: Oci) -> None:
    oci.create("a", "sleep", "100")
    oci.ok("start", "a")
    process = {
        **oci.spec["process"],
        "args": ["grep", "Cpus_allowed_list", "/proc/self/status"],
        "execCPUAffinity": {"initial": "0", "final": "0"},
    }
    file = oci.home / "process.json"
    file.write_text(json.dumps(process))
    assert oci.ok("exec", "-p", str(file), "a").split() == ["Cpus_allowed_list:", "0"]
    process["execCPUAffinity"]["final"] = "9999"
    file.write_text(json.dumps(process))
    assert "cpu-affinity 9999" in oci.refused("exec", "-p", str(file), "a")


@pytest.mark.parametrize(
    ("module", "field", "there"),
    [
        ("apparmor", "process__apparmorProfile", labels.apparmor()),
        ("selinux", "process__selinuxLabel", labels.selinux()),
        ("selinux", "linux__mountLabel", labels.selinux()),
    ],
)
def test_labels(oci: Oci, module: str, field: str, there: bool) -> None:
    bundle = oci.bundle("a", "true", **{field: "podarium-no-such"})
    said = oci.refused("run", "-b", str(bundle), "a")
    if there:
        assert "podarium-no-such" in said
    else:
        assert f"{field.replace('__', '.')}: this machine is without {module}; leave it out" in said
    if module == "apparmor" and there:
        told = oci.run("cat", "/proc/self/attr/current", process__apparmorProfile="unconfined")
        assert told.strip() == "unconfined"


@pytest.mark.parametrize("planted", ["link", "folder"])
def test_what_stands_where_the_console_comes_is_not_followed(oci: Oci, planted: str) -> None:
    """CVE-2025-52565: /dev is the image's own, and its console leads to the kernel's files."""
    mounts = [each for each in oci.spec["mounts"] if each["destination"] != "/dev"]
    mounts = [each for each in mounts if not each["destination"].startswith("/dev/")]
    pts = {
        "destination": "/dev/pts",
        "type": "devpts",
        "options": ["newinstance", "ptmxmode=0666", "mode=0620"],
    }
    bundle = oci.bundle("a", "true", mounts=[*mounts, pts], process__terminal=True)
    console = bundle / "rootfs/dev/console"
    if planted == "link":
        console.symlink_to("/proc/sys/kernel/core_pattern")
    else:
        console.mkdir()
    address = str(oci.home / "t")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        said = oci.refused("create", "-b", str(bundle), "--console-socket", address, "a")
    assert "console" in said
    assert "/dev/console: " in said
