"""Limits as the kernel has them, when a container is created and while it lives."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from engine.runtime.cgroup import tree
from engine.runtime.cgroup.api import Hierarchy, detect
from tests.real.oci.conftest import Oci

BLOCK = frozenset({b"blkio", b"io"})


@pytest.fixture
def hierarchy() -> Hierarchy:
    return detect(also=BLOCK | {b"cpuset"})


def setting(hierarchy: Hierarchy, controller: bytes, oci: Oci, file: str) -> str:
    directory = hierarchy.directory_of(controller, oci.home.name.encode())
    return tree.read(directory + b"/" + file.encode()).decode().strip()


def a_disk() -> dict[str, int]:
    for device in sorted(Path("/sys/block").iterdir()):
        major, minor = map(int, (device / "dev").read_text().split(":"))
        if not device.name.startswith(("ram", "zram")):
            return {"major": major, "minor": minor}
    pytest.skip("no block device")


def test_limits_that_not_every_kernel_has(oci: Oci, hierarchy: Hierarchy) -> None:
    controller = next(iter(BLOCK & hierarchy.controllers), None)
    if controller is None:
        pytest.skip("no controller of block devices")
    disk = a_disk()
    resources: dict[str, Any] = {
        "blockIO": {"throttleReadBpsDevice": [{**disk, "rate": 1 << 20}]},
        "cpu": {"quota": 50_000, "burst": 10_000},
    }
    if hierarchy.name != "v2":
        resources["memory"] = {"swappiness": 7}
    oci.create("a", "sleep", "100", linux__resources=resources)
    named = f"{disk['major']}:{disk['minor']}"
    if hierarchy.name == "v2":
        assert f"{named} rbps=1048576" in setting(hierarchy, b"io", oci, "io.max")
        assert setting(hierarchy, b"cpu", oci, "cpu.max.burst") == "10000"
    else:
        read = setting(hierarchy, b"blkio", oci, "blkio.throttle.read_bps_device")
        assert read == f"{named} 1048576"
        assert setting(hierarchy, b"memory", oci, "memory.swappiness") == "7"
        assert setting(hierarchy, b"cpu", oci, "cpu.cfs_burst_us") == "10000"


def test_a_controller_that_is_needed_only_later(oci: Oci, hierarchy: Hierarchy) -> None:
    """The container's processes come along, and its cgroup is gone with it."""
    if b"cpuset" not in hierarchy.controllers:
        pytest.skip("no cpuset controller")
    oci.create("a", "sleep", "100")
    oci.ok("start", "a")
    oci.ok("update", "--cpuset-cpus", "0", "a")
    assert setting(hierarchy, b"cpuset", oci, "cpuset.cpus") == "0"
    pid = oci.state("a")["pid"]
    assert f"/{oci.home.name}" in Path(f"/proc/{pid}/cpuset").read_text()
    assert "Cpus_allowed_list:\t0\n" in Path(f"/proc/{pid}/status").read_text()
    oci.ok("delete", "--force", "a")
    assert not os.path.exists(hierarchy.directory_of(b"cpuset", oci.home.name.encode()))


def test_swap_is_limited_beside_the_memory_that_is_limited_now(
    oci: Oci, hierarchy: Hierarchy
) -> None:
    oci.create("a", "sleep", "100", linux__resources={"memory": {"limit": 32 << 20}})
    oci.ok("start", "a")
    oci.ok("update", "--memory", "64m", "--memory-swap", "80m", "a")
    oci.ok("update", "--memory-swap", "100m", "a")
    if hierarchy.name == "v2":
        assert setting(hierarchy, b"memory", oci, "memory.swap.max") == str(36 << 20)
    else:
        memsw = setting(hierarchy, b"memory", oci, "memory.memsw.limit_in_bytes")
        assert memsw == str(100 << 20)
    file = oci.home / "r.json"
    file.write_text(json.dumps({"memory": {"limit": 4096, "checkBeforeUpdate": True}}))
    said = oci.refused("update", "--resources", str(file), "a")
    assert "memory.limit: 4096 is less than the" in said


@pytest.mark.parametrize(
    ("resources", "named"),
    [
        ({"rdma": {"no_such_device": {"hcaHandles": 1}}}, "rdma['no_such_device']"),
        ({"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]}, "hugepageLimits[0]"),
        ({"network": {"priorities": [{"name": "no-such", "priority": 1}]}}, "priorities[0]"),
        ({"unified": {"no_such.setting": "1"}}, "unified['no_such.setting']"),
        ({"blockIO": {"leafWeight": 100}}, "blockIO.leafWeight"),
        ({"cpu": {"cpus": "4000"}}, "cpuset.cpus <- 4000"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_this_machine_cannot_limit_is_refused_by_name(
    oci: Oci, resources: dict[str, Any], named: str
) -> None:
    bundle = oci.bundle("a", "true", linux__resources=resources)
    assert named in oci.refused("run", "-b", str(bundle), "a")
