"""What a machine lacks, in words that say what to do."""

from dataclasses import replace

import pytest

from engine.runtime import features
from engine.runtime.features import Features

GOOD = Features(
    kernel=(6, 1),
    root=True,
    overlay=True,
    overlay_append=False,
    seccomp=True,
    namespaces=frozenset({"cgroup", "ipc", "mnt", "net", "pid", "uts"}),
    hierarchy="v2",
    controllers=frozenset({b"cpu", b"memory", b"pids"}),
    cgroups_writable=True,
    links=frozenset({"bridge", "veth"}),
)


def told(found: Features) -> list[features.Missing]:
    return list(features._missing(found))


def test_a_good_machine_lacks_nothing() -> None:
    assert told(GOOD) == []


@pytest.mark.parametrize(
    ("bad", "what", "cure"),
    [
        (replace(GOOD, kernel=(5, 10)), "Linux 5.14", "upgrade"),
        (replace(GOOD, root=False, links=None), "root", "sudo"),
        (replace(GOOD, overlay=False), "overlay", "modprobe overlay"),
        (replace(GOOD, seccomp=False), "seccomp", "CONFIG_SECCOMP_FILTER"),
        (
            replace(GOOD, namespaces=GOOD.namespaces - {"net"}),
            "namespaces: net",
            "CONFIG_NAMESPACES",
        ),
        (replace(GOOD, hierarchy="", controllers=frozenset()), "cgroups", "mount -t cgroup2"),
        (replace(GOOD, controllers=frozenset({b"cpu", b"pids"})), "memory", "cgroup_enable=memory"),
        (replace(GOOD, cgroups_writable=False), "writable cgroups", "--privileged"),
        (replace(GOOD, links=frozenset({"bridge"})), "veth", "modprobe veth"),
    ],
)
def test_each_lack_is_told_once_with_its_cure(bad: Features, what: str, cure: str) -> None:
    (lack,) = told(bad)
    assert what in lack.what
    assert cure in lack.cure
    assert lack.why


def test_the_running_kernel_has_a_version() -> None:
    assert features.kernel() > (4, 0)
