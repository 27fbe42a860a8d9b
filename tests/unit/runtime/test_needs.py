"""What a machine lacks to run containers, in words that say what to do."""

from dataclasses import replace

import pytest

from engine.runtime import features
from engine.runtime.checks import ONLY_ROOT, Check, State
from engine.runtime.features import Features
from engine.runtime.needs import needed

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
    cgroups_crowded=False,
    links=frozenset({"bridge", "veth"}),
)


def lacking(found: Features) -> list[Check]:
    return [check for check in needed(found) if check.state is State.MISSING]


def test_a_good_machine_lacks_nothing() -> None:
    assert {check.state for check in needed(GOOD)} == {State.OK}


@pytest.mark.parametrize(
    ("bad", "name", "cure"),
    [
        (replace(GOOD, kernel=(5, 10)), "Linux 5.14", "upgrade"),
        (replace(GOOD, root=False, links=None), "root", "sudo"),
        (replace(GOOD, overlay=False), "overlay", "modprobe overlay"),
        (replace(GOOD, seccomp=False), "seccomp", "CONFIG_SECCOMP_FILTER"),
        (
            replace(GOOD, namespaces=GOOD.namespaces - {"net"}),
            "net namespaces",
            "CONFIG_NAMESPACES",
        ),
        (replace(GOOD, hierarchy="", controllers=frozenset()), "hierarchy", "mount -t cgroup2"),
        (
            replace(GOOD, controllers=frozenset({b"cpu", b"pids"})),
            "memory controller",
            "cgroup_enable=memory",
        ),
        (replace(GOOD, cgroups_writable=False), "writable", "--privileged"),
        (replace(GOOD, cgroups_crowded=True), "without processes", "--cgroupns=host"),
        (replace(GOOD, links=frozenset({"bridge"})), "veth", "modprobe veth"),
    ],
)
def test_each_lack_is_told_once_with_its_cure(bad: Features, name: str, cure: str) -> None:
    (lack,) = lacking(bad)
    assert name in lack.name
    assert cure in lack.cure
    assert lack.cost


def test_what_only_root_can_tell_is_not_called_missing() -> None:
    found = replace(GOOD, root=False, links=None, cgroups_writable=False)
    unknown = [check for check in needed(found) if check.state is State.UNKNOWN]
    assert [check.name for check in unknown] == ["writable", "bridge devices", "veth devices"]
    assert {check.found for check in unknown} == {ONLY_ROOT}


def test_the_running_kernel_has_a_version() -> None:
    assert features.kernel() > (4, 0)
