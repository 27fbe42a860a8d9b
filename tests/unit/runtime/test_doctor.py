"""The whole table, over machines that are made up; and how it is told."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from engine.runtime.checks import Check, State
from engine.runtime.doctor import examine, runs
from engine.runtime.features import Features
from engine.runtime.machine import CALLS, Machine
from podarium.doctor import document, report

FEATURES = Features(
    kernel=(6, 18),
    root=True,
    overlay=True,
    overlay_append=True,
    seccomp=True,
    namespaces=frozenset({"cgroup", "ipc", "mnt", "net", "pid", "uts"}),
    hierarchy="hybrid",
    controllers=frozenset({b"cpu", b"memory", b"pids"}),
    cgroups_writable=True,
    cgroups_crowded=False,
    links=frozenset({"bridge", "veth"}),
)
MACHINE = Machine(
    release="6.18.0",
    calls=frozenset(CALLS),
    pidfd_exit=True,
    pressure=True,
    controls_devices=True,
    swap_bounded=True,
    namespaces=60_000,
    user_namespaces=True,
    time_namespaces=True,
    filesystems=frozenset({"proc", "sysfs", "tmpfs", "devpts", "mqueue", "ext4"}),
    userxattr=True,
    erofs_files=True,
    idmapped=True,
    upper="",
    home=Path("/var/lib/podarium"),
    home_type="ext4",
    free=100 << 30,
    free_inodes=1_000_000,
    socket="",
    forwarding=True,
    nat="",
    tun=True,
    capabilities=(1 << 41) - 1,
    seccomp_log=True,
    landlock=6,
    selinux=False,
    open_files=65_536,
    inotify=1024,
    processes=4_194_304,
    memory=16 << 30,
    python=(3, 12),
    tools={
        name: f"/usr/bin/{name}" for name in ("kubectl", "newuidmap", "newgidmap", "slirp4netns")
    },
    kubectl="v1.33.1",
    subordinate=True,
    encoding="utf-8",
    colours=1 << 24,
)
GROUPS = (
    "kernel",
    "cgroups",
    "namespaces",
    "filesystems",
    "network",
    "security",
    "limits",
    "tools",
)


def of(state: State, features: Features = FEATURES, **changes: Any) -> list[Check]:
    checks = examine(features, replace(MACHINE, **changes))
    return [check for check in checks if check.state is state]


def test_a_good_machine_is_whole_and_told_group_by_group() -> None:
    checks = examine(FEATURES, MACHINE)
    assert {check.state for check in checks} == {State.OK}
    assert tuple(dict.fromkeys(check.group for check in checks)) == GROUPS
    assert runs(checks)


def test_every_check_has_a_name_of_its_own_and_says_cost_and_cure() -> None:
    checks = examine(FEATURES, MACHINE)
    names = [check.name for check in checks]
    assert len(set(names)) == len(names)
    assert all(check.cost and check.cure and check.found for check in checks)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"calls": frozenset(CALLS) - {"clone3"}}, "system calls"),
        ({"filesystems": MACHINE.filesystems - {"mqueue"}}, "what a container sees"),
        ({"upper": "Invalid argument", "home_type": "nfs4"}, "overlay in PODARIUM_HOME"),
        ({"free": 100 << 20}, "free space"),
        ({"socket": "too long"}, "socket paths"),
        ({"nat": "Operation not supported"}, "nf_tables, masquerade"),
        ({"forwarding": False}, "forwarding"),
        ({"open_files": 256}, "open files"),
        ({"python": (3, 10)}, "Python 3.11 or newer"),
    ],
)
def test_without_these_clusters_cannot_run(changes: dict[str, Any], name: str) -> None:
    (lack,) = of(State.MISSING, **changes)
    assert lack.name == name
    assert not runs(examine(FEATURES, replace(MACHINE, **changes)))


@pytest.mark.parametrize(
    ("hierarchy", "cure"),
    [("v1", "cgroup_enable=devices"), ("hybrid", "CGROUP_BPF"), ("v2", "CGROUP_BPF")],
)
def test_devices_are_controlled_as_the_hierarchy_can(hierarchy: str, cure: str) -> None:
    checks = examine(
        replace(FEATURES, hierarchy=hierarchy), replace(MACHINE, controls_devices=False)
    )
    (lack,) = (check for check in checks if check.name == "device control")
    assert cure in lack.cure


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"pidfd_exit": False}, ["exit codes by pidfd"]),
        ({"pressure": False}, ["pressure (PSI)"]),
        ({"controls_devices": False}, ["device control"]),
        ({"swap_bounded": False}, ["swap accounting"]),
        ({"namespaces": 100}, ["how many at once"]),
        ({"user_namespaces": False}, ["user namespaces"]),
        ({"time_namespaces": False}, ["time namespaces"]),
        ({"userxattr": False}, ["overlay, userxattr"]),
        ({"erofs_files": False}, ["erofs images from files"]),
        ({"idmapped": False}, ["id-mapped mounts"]),
        ({"free": 1 << 30}, ["free space"]),
        ({"free_inodes": 5000}, ["inodes"]),
        ({"tun": False}, ["/dev/net/tun"]),
        ({"capabilities": MACHINE.capabilities & ~(1 << 24)}, ["CAP_SYS_RESOURCE"]),
        ({"seccomp_log": False}, ["seccomp log action"]),
        ({"landlock": 0}, ["Landlock"]),
        ({"selinux": True}, ["SELinux"]),
        ({"open_files": 1024}, ["open files"]),
        ({"inotify": 8}, ["inotify instances"]),
        ({"processes": 4096}, ["processes"]),
        ({"memory": 1 << 30}, ["memory"]),
        ({"kubectl": "v1.28.2"}, ["kubectl 1.31 or newer"]),
        ({"subordinate": False}, ["subordinate ids"]),
        ({"encoding": "iso8859-1"}, ["terminal, UTF-8"]),
        ({"colours": 16}, ["terminal, colours"]),
        (
            {"tools": {}, "kubectl": ""},
            ["kubectl 1.31 or newer", "newuidmap, newgidmap", "pasta or slirp4netns"],
        ),
    ],
)
def test_without_these_clusters_run_at_a_cost(changes: dict[str, Any], names: list[str]) -> None:
    assert [check.name for check in of(State.DEGRADED, **changes)] == names
    assert runs(examine(FEATURES, replace(MACHINE, **changes)))


def test_pure_v1_is_told_what_the_v2_tree_would_give() -> None:
    found = of(State.DEGRADED, replace(FEATURES, hierarchy="v1"))
    assert [check.name for check in found] == ["cgroup.kill", "CLONE_INTO_CGROUP"]


def test_what_only_root_can_tell_is_unknown() -> None:
    asked = dict.fromkeys(("userxattr", "erofs_files", "idmapped", "upper", "nat", "forwarding"))
    unknown = of(State.UNKNOWN, replace(FEATURES, root=False, links=None), **asked)
    assert len(unknown) == len(asked) + 3
    assert [c.name for c in of(State.MISSING, replace(FEATURES, root=False), **asked)] == ["root"]


def test_the_report_has_a_glyph_a_word_and_a_colour_and_says_how_to_mend() -> None:
    text = report(examine(FEATURES, replace(MACHINE, nat="No such file", landlock=0)), width=80)
    lines = click.unstyle(text).splitlines()
    at = lines.index("  ✘ missing   nf_tables, masquerade        No such file")
    assert lines[at + 1].startswith("    costs     pods reach the outside")
    assert lines[at + 2].startswith("    mend      sudo modprobe nft_masq")
    assert "  ▲ degraded  Landlock                     off" in lines
    assert click.style("✘ missing   ", fg="red") in text
    assert click.style("✔ ok        ", fg="green") in text
    assert lines[-1].startswith("Clusters cannot run here: ")
    assert lines[-1].endswith("1 degraded, 1 missing.")
    assert all(len(line) <= 80 for line in lines if line.startswith("    "))


def test_the_verdict_of_a_good_machine() -> None:
    text = click.unstyle(report(examine(FEATURES, MACHINE), width=80))
    assert text.splitlines()[-1].startswith("Clusters can run here: ")
    assert "costs" not in text


def test_a_terminal_without_unicode_gets_plain_marks() -> None:
    text = report(examine(FEATURES, replace(MACHINE, landlock=0)), width=80, encoding="ascii")
    assert "! degraded" in text
    assert click.unstyle(text).isascii()


def test_json_says_all_that_there_is() -> None:
    checks = examine(FEATURES, replace(MACHINE, socket="too long"))
    told = json.loads(document(checks))
    assert told["runs"] is False
    assert len(told["checks"]) == len(checks)
    (lack,) = (check for check in told["checks"] if check["state"] == "missing")
    assert lack == {
        "group": "filesystems",
        "name": "socket paths",
        "state": "missing",
        "found": "too long",
        "cost": "a unix socket's path holds 107 bytes",
        "cure": "a shorter PODARIUM_HOME",
    }
