"""linux.resources of a bundle: limits of a cgroup, or refused with the field."""

from __future__ import annotations

import os
from typing import Any

import pytest

from engine.runtime.cgroup.api import Resources
from engine.runtime.oci.controls import control
from engine.runtime.oci.document import ConfigError, Value
from engine.runtime.oci.resources import device_rules, limits
from tests.unit.oci.trees import Trees, Unified


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, Resources()),
        ({"memory": {"limit": 10}}, Resources(memory_limit=10, memory_swap=-1)),
        (
            {"memory": {"limit": 10, "swap": 20, "reservation": 5}},
            Resources(memory_limit=10, memory_swap=20, memory_low=5),
        ),
        (
            {"cpu": {"shares": 100, "quota": 5000, "period": 10000, "cpus": "0"}},
            Resources(cpu_shares=100, cpu_quota_us=5000, cpu_period_us=10000, cpuset_cpus="0"),
        ),
        ({"cpu": {"shares": 0, "quota": 0}}, Resources()),
        ({"pids": {"limit": -1}}, Resources(pids_limit=-1)),
        ({"cpu": {"idle": 1, "burst": 7}}, Resources(cpu_idle=True, cpu_burst_us=7)),
    ],
)
def test_limits(resources: dict[str, Any], expected: Resources) -> None:
    assert limits(Value(resources), Trees()) == expected


def test_a_limit_that_the_machine_cannot_set_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"memory.limit: this machine has no cgroup controller"):
        limits(Value({"memory": {"limit": 1}}, ""), Unified(b"pids"))


def test_device_rules_in_their_order() -> None:
    def rules(*given: tuple[bool, str, int | None, int | None, str]) -> tuple[str, ...] | None:
        found = [
            {"allow": allow, "type": kind, "major": major, "minor": minor, "access": access}
            for allow, kind, major, minor, access in given
        ]
        return device_rules(Value(found))

    assert rules() is None
    none = rules((False, "a", None, None, "rwm"))
    assert none is not None
    assert "c 1:3 rwm" in none
    assert "a *:* rwm" not in none
    some = rules((False, "", None, None, "rwm"), (True, "c", 10, 200, "rw"))
    assert some == (*none, "c 10:200 rw")
    assert rules((True, "a", None, None, "rwm")) == ("a *:* rwm",)
    assert rules((False, "b", 8, None, "w")) == ("a *:* rwm", "!b 8:* w")


def settings(resources: dict[str, Any], hierarchy: Any) -> list[tuple[str, str]]:
    """(file, value) of what is not in every kernel."""
    found = control(Value(resources, "resources"), b"c", hierarchy)
    assert found is not None
    assert all(field.startswith("resources.") for field, _, _ in found.settings)
    return [
        (os.path.basename(files[0]).decode(), value.decode()) for _, files, value in found.settings
    ]


EVERYTHING = {
    "blockIO": {
        "weight": 500,
        "weightDevice": [{"major": 8, "minor": 0, "weight": 1000}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 300}],
    },
    "hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}],
    "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10}},
}


def test_settings_of_v1() -> None:
    everything = {name: value for name, value in EVERYTHING.items() if name != "rdma"}
    more = {
        "blockIO": {**EVERYTHING["blockIO"], "leafWeight": 10},  # type: ignore[dict-item]
        "memory": {"swappiness": 7, "disableOOMKiller": True, "kernelTCP": 5, "useHierarchy": True},
        "cpu": {"realtimeRuntime": 9, "realtimePeriod": 10},
        "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 5}]},
    }
    assert settings({**everything, **more}, Trees()) == [
        ("blkio.bfq.weight", "500"),
        ("blkio.leaf_weight", "10"),
        ("blkio.bfq.weight_device", "8:0 1000"),
        ("blkio.throttle.read_bps_device", "8:0 600"),
        ("blkio.throttle.write_iops_device", "8:16 300"),
        ("memory.kmem.tcp.limit_in_bytes", "5"),
        ("memory.swappiness", "7"),
        ("memory.oom_control", "1"),
        ("memory.use_hierarchy", "1"),
        ("cpu.rt_period_us", "10"),
        ("cpu.rt_runtime_us", "9"),
        ("hugetlb.2MB.rsvd.limit_in_bytes", "4194304"),
        ("net_cls.classid", "1048577"),
        ("net_prio.ifpriomap", "eth0 5"),
    ]


def test_settings_of_v1_in_the_words_of_v2() -> None:
    assert settings(EVERYTHING, Unified(b"io", b"hugetlb", b"rdma")) == [
        ("io.weight", "default 4950"),
        ("io.weight", "8:0 10000"),
        ("io.max", "8:0 rbps=600"),
        ("io.max", "8:16 wiops=300"),
        ("hugetlb.2MB.rsvd.max", "4194304"),
        ("rdma.max", "mlx5_1 hca_handle=3 hca_object=10"),
    ]
    assert settings({"blockIO": {"weight": 10}}, Unified(b"io")) == [("io.weight", "default 1")]
    lifted = {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 0}]}
    assert settings({"blockIO": lifted}, Unified(b"io")) == [("io.max", "8:0 rbps=max")]


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"memory": {"swappiness": 1}}, r"resources.memory.swappiness: cgroup v2, which this mach"),
        ({"memory": {"disableOOMKiller": True}}, r"resources.memory.disableOOMKiller: cgroup v2"),
        ({"memory": {"kernel": 1}}, r"resources.memory.kernel: cgroup v2"),
        ({"memory": {"useHierarchy": False}}, r"resources.memory.useHierarchy: cgroup v2 always"),
        ({"cpu": {"realtimeRuntime": 1}}, r"resources.cpu.realtimeRuntime: cgroup v2"),
        ({"blockIO": {"leafWeight": 10}}, r"resources.blockIO.leafWeight: cgroup v2"),
        ({"network": {"classID": 1}}, r"resources.network.classID: cgroup v2"),
        ({"blockIO": {"weight": 10}}, r"blockIO.weight: this machine has no cgroup controller io"),
        ({"hugepageLimits": [{"pageSize": "2"}]}, r"hugepageLimits\[0\].pageSize: '2' is not as"),
    ],
)
def test_what_v2_cannot_say_is_refused(resources: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        control(Value(resources, "resources"), b"c", Unified(b"memory", b"cpu"))


def test_where_v2_limits_its_settings_are_written_as_they_are() -> None:
    found = limits(Value({"unified": {"memory.high": "10"}}), Unified(b"memory"))
    writes = Unified(b"memory").writes(b"c", found)
    assert writes == [(b"/sys/fs/cgroup/unified/c/memory.high", b"10")]
    with pytest.raises(OSError, match="is not the name of a cgroup's file"):
        Unified().writes(b"c", Resources(unified=(("../x.y", "1"),)))
