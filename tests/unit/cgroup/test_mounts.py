"""Which hierarchy a machine has, from the mount tables of several kinds of machine."""

import pytest

from engine.runtime.cgroup import mounts

SYSTEMD_HYBRID = rb"""
24 30 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
31 24 0:26 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,mode=755
32 31 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate
33 31 0:28 / /sys/fs/cgroup/systemd rw,nosuid shared:11 - cgroup cgroup rw,xattr,name=systemd
38 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:16 - cgroup cgroup rw,cpu,cpuacct
39 31 0:34 / /sys/fs/cgroup/memory rw,nosuid shared:17 - cgroup cgroup rw,memory
40 31 0:35 / /sys/fs/cgroup/pids rw,nosuid shared:18 - cgroup cgroup rw,pids
"""
PURE_V2 = rb"""
24 30 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate
"""
DOCKER_V1 = rb"""
600 599 0:80 / /sys/fs/cgroup rw,nosuid - tmpfs tmpfs rw,mode=755
601 600 0:33 /docker/12ab /sys/fs/cgroup/cpu,cpuacct ro master:16 - cgroup cgroup rw,cpu,cpuacct
602 600 0:34 /docker/12ab /sys/fs/cgroup/memory ro master:17 - cgroup cgroup rw,memory
"""
ELSEWHERE = rb"""
35 24 0:30 / /mnt/with\040space/cgroup rw - cgroup2 cgroup2 rw
36 24 0:31 / /sys/fs/cgroups rw - cgroup2 cgroup2 rw
"""


@pytest.mark.parametrize(
    ("mountinfo", "v1", "v2"),
    [
        (
            SYSTEMD_HYBRID,
            {"cpu": "cpu,cpuacct", "cpuacct": "cpu,cpuacct", "memory": "memory", "pids": "pids"},
            b"/sys/fs/cgroup/unified",
        ),
        (PURE_V2, {}, b"/sys/fs/cgroup"),
        (
            DOCKER_V1,
            {"cpu": "cpu,cpuacct", "cpuacct": "cpu,cpuacct", "memory": "memory"},
            None,
        ),
        (ELSEWHERE, {}, None),
    ],
)
def test_where_everything_is(mountinfo: bytes, v1: dict[str, str], v2: bytes | None) -> None:
    found, unified = mounts.parse(mountinfo.strip(), b"/sys/fs/cgroup")
    wanted = {n.encode(): b"/sys/fs/cgroup/" + where.encode() for n, where in v1.items()}
    assert {name: found[name] for name in wanted} == wanted
    assert set(found) - set(wanted) <= {b"rw", b"xattr", b"name=systemd"}
    assert unified == v2


def test_escaped_paths() -> None:
    _, unified = mounts.parse(ELSEWHERE.strip(), b"/mnt/with space/cgroup")
    assert unified == b"/mnt/with space/cgroup"
