"""What limits become, in each hierarchy. Nothing here touches a cgroup."""

from pathlib import Path

import pytest

from engine.runtime.cgroup.api import UNLIMITED, Resources
from engine.runtime.cgroup.hybrid import Hybrid
from engine.runtime.cgroup.v1 import V1
from engine.runtime.cgroup.v2 import V2

PATH = b"cluster/node/pod/box"
V1_ROOTS = {name: b"/v1/" + name for name in (b"cpu", b"cpuacct", b"memory", b"pids", b"devices")}


def v2(tmp_path: Path, *, swap: bool = True) -> V2:
    """A v2 tree that looks like a machine's: the root has no limits, its children have."""
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids rdma misc\n")
    child = tmp_path / "system.slice"
    child.mkdir()
    (child / "memory.max").write_text("max\n")
    if swap:
        (child / "memory.swap.max").write_text("max\n")
    return V2(bytes(tmp_path))


V1_TABLE = [
    (Resources(), []),
    (Resources(cpu_shares=512), ["cpu/cpu.shares=512"]),
    (Resources(cpu_shares=1), ["cpu/cpu.shares=2"]),
    (
        Resources(cpu_quota_us=50_000),
        ["cpu/cpu.cfs_period_us=100000", "cpu/cpu.cfs_quota_us=50000"],
    ),
    (
        Resources(cpu_quota_us=UNLIMITED, cpu_period_us=20_000),
        ["cpu/cpu.cfs_period_us=20000", "cpu/cpu.cfs_quota_us=-1"],
    ),
    (Resources(memory_limit=64 << 20), ["memory/memory.limit_in_bytes=67108864"]),
    (Resources(memory_limit=UNLIMITED), ["memory/memory.limit_in_bytes=-1"]),
    (Resources(memory_low=4096), ["memory/memory.soft_limit_in_bytes=4096"]),
    (Resources(pids_limit=64), ["pids/pids.max=64"]),
    (Resources(pids_limit=UNLIMITED), ["pids/pids.max=max"]),
    (
        Resources(devices=("c 1:3 rwm", "c 5:* rw")),
        [
            "devices/devices.deny=a",
            "devices/devices.allow=c 1:3 rwm",
            "devices/devices.allow=c 5:* rw",
        ],
    ),
    (Resources(devices=()), ["devices/devices.deny=a"]),
    (Resources(oom_group=True), []),
]


@pytest.mark.parametrize(("resources", "lines"), V1_TABLE, ids=[repr(r) for r, _ in V1_TABLE])
def test_v1(resources: Resources, lines: list[str]) -> None:
    found = V1(V1_ROOTS).writes(PATH, resources)
    wanted = [line.split("/", 1) for line in lines]
    assert found == [
        (f"/v1/{controller}/{PATH.decode()}/{file}".encode(), value.encode())
        for controller, (file, value) in ((c, rest.split("=", 1)) for c, rest in wanted)
    ]


V2_TABLE = [
    (Resources(), []),
    (Resources(cpu_shares=1024), ["cpu.weight=100"]),
    (Resources(cpu_quota_us=150_000), ["cpu.max=150000 100000"]),
    (Resources(cpu_quota_us=UNLIMITED), ["cpu.max=max 100000"]),
    (Resources(memory_limit=64 << 20), ["memory.max=67108864", "memory.swap.max=0"]),
    (Resources(memory_limit=UNLIMITED), ["memory.max=max", "memory.swap.max=max"]),
    (Resources(memory_low=4096), ["memory.low=4096"]),
    (Resources(oom_group=True), ["memory.oom.group=1"]),
    (Resources(oom_group=False), ["memory.oom.group=0"]),
    (Resources(pids_limit=UNLIMITED), ["pids.max=max"]),
    (Resources(devices=("c 1:3 rwm",)), []),
]


@pytest.mark.parametrize(("resources", "lines"), V2_TABLE, ids=[repr(r) for r, _ in V2_TABLE])
def test_v2(tmp_path: Path, resources: Resources, lines: list[str]) -> None:
    found = v2(tmp_path).writes(PATH, resources)
    directory = bytes(tmp_path) + b"/" + PATH + b"/"
    assert found == [
        (directory + file.encode(), value.encode())
        for file, value in (line.split("=", 1) for line in lines)
    ]


def test_v2_without_swap_accounting(tmp_path: Path) -> None:
    (file,) = (f for f, _ in v2(tmp_path, swap=False).writes(PATH, Resources(memory_limit=1)))
    assert file.endswith(b"/memory.max")


def test_v1_limits_swap_where_the_kernel_counts_it(tmp_path: Path) -> None:
    (tmp_path / "memory.memsw.limit_in_bytes").touch()
    found = V1({b"memory": bytes(tmp_path)}).writes(PATH, Resources(memory_limit=5))
    assert [(file.rsplit(b"/", 1)[1], value) for file, value in found] == [
        (b"memory.limit_in_bytes", b"5"),
        (b"memory.memsw.limit_in_bytes", b"5"),
    ]


def test_a_controller_that_is_not_there_is_named() -> None:
    with pytest.raises(OSError, match="the pids cgroup controller is not mounted"):
        V1({b"cpu": b"/v1/cpu"}).writes(PATH, Resources(pids_limit=1))


def test_joint_controllers_share_a_directory() -> None:
    joint = b"/v1/cpu,cpuacct"
    hierarchy = V1({b"cpu": joint, b"cpuacct": joint, b"memory": b"/v1/memory"})
    assert hierarchy.directories(PATH) == [joint + b"/" + PATH, b"/v1/memory/" + PATH]
    assert hierarchy.mounts() == [
        (b"cpu,cpuacct", b"cgroup", b"cpu,cpuacct"),
        (b"memory", b"cgroup", b"memory"),
    ]
    assert hierarchy.join_files(PATH)[0] == joint + b"/" + PATH + b"/tasks"


def test_hybrid_is_both(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("\n")
    roots = {**V1_ROOTS, b"freezer": b"/v1/freezer"}
    hierarchy = Hybrid(roots, bytes(tmp_path))
    assert hierarchy.directories(PATH)[-1] == bytes(tmp_path) + b"/" + PATH
    # The v2 tree freezes, and a process is born in it.
    assert b"freezer" not in hierarchy.controllers
    assert not any(bytes(tmp_path) in file for file in hierarchy.join_files(PATH))
    assert hierarchy.controls_devices


@pytest.mark.parametrize(
    "path", [b"", b"/", b"/a", b"a/", b"a//b", b"..", b"a/../b", b"a/..", b".", b"a/./b", b"a\0b"]
)
def test_no_path_leaves_its_root(tmp_path: Path, path: bytes) -> None:
    for hierarchy in (V1(V1_ROOTS), v2(tmp_path)):
        for act in (
            hierarchy.directories,
            hierarchy.create,
            hierarchy.kill,
            hierarchy.remove,
            hierarchy.procs,
            hierarchy.join_files,
            lambda path, of=hierarchy: of.writes(path, Resources(cpu_shares=2)),
        ):
            with pytest.raises(ValueError, match="cgroup path"):
                act(path)


def test_resources_are_a_value() -> None:
    one, other = Resources(cpu_shares=2), Resources(cpu_shares=2)
    assert one == other
    assert hash(one) == hash(other)
    assert one != Resources(cpu_shares=3)
    assert repr(one) == "Resources(cpu_shares=2)"
    assert Resources(**one.fields()) == one
