"""Containers in namespaces of their own and of others, and files shown as somebody else's."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.real.oci.conftest import Oci

MAPPING = [{"containerID": 0, "hostID": 100_000, "size": 1000}]


def passable(folder: Path) -> None:
    """To everybody, as podman has it for containers whose root is not the machine's."""
    for each in (folder / "rootfs", folder, *folder.parents[:-2]):
        each.chmod(0o755)


def shows_other_ids(folder: Path) -> bool:
    """Whether its filesystem does, by this kernel: tmpfs learnt it in Linux 6.3."""
    kernel = tuple(int(part) for part in os.uname().release.split(".")[:2])
    command = ["stat", "--file-system", "--format", "%T", str(folder)]
    kind = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return kernel >= (6, 3) or kind not in ("tmpfs", "overlayfs")


def with_namespaces(oci: Oci, *more: dict[str, str]) -> list[dict[str, str]]:
    kinds = {each["type"] for each in more}
    return [*(n for n in oci.spec["linux"]["namespaces"] if n["type"] not in kinds), *more]


def test_clocks_of_its_own(oci: Oci) -> None:
    if not os.path.exists("/proc/self/ns/time"):
        pytest.skip("no time namespaces")
    offsets = {"monotonic": {"secs": 1_000_000}, "boottime": {"secs": 2_000_000, "nanosecs": 5}}
    oci.create(
        "a",
        "sleep",
        "100",
        linux__namespaces=with_namespaces(oci, {"type": "time"}),
        linux__timeOffsets=offsets,
    )
    oci.ok("start", "a")
    pid = oci.state("a")["pid"]
    mine = time.clock_gettime(time.CLOCK_BOOTTIME)
    uptime = float(oci.ok("exec", "a", "cat", "/proc/uptime").split()[0])
    assert 2_000_000 <= uptime - mine < 2_000_100
    theirs = os.readlink(f"/proc/{pid}/ns/time")
    assert theirs != os.readlink("/proc/self/ns/time")
    # And another joins them.
    said = oci.run(
        "readlink",
        "/proc/self/ns/time",
        linux__namespaces=with_namespaces(oci, {"type": "time", "path": f"/proc/{pid}/ns/time"}),
        linux__cgroupsPath=f"/{oci.home.name}-b",
    )
    assert said == theirs + "\n"


# What has to work in a user namespace as outside of one.
INSIDE = """
id -u; cat /proc/sys/kernel/hostname; cat /proc/sys/kernel/msgmax
for m in proc sysfs mqueue devpts tmpfs; do grep -c " - $m " /proc/self/mountinfo; done
echo x > /dev/null && head -c1 /dev/zero | wc -c; tty
touch /tmp/mine /dev/shm/mine && stat -c %u /tmp/mine
readlink /proc/self/ns/user
"""


@pytest.fixture
def of_users(oci: Oci) -> dict[str, Any]:
    """A config in a new user namespace, with everything that there is to be set in others."""
    return {
        "linux__namespaces": with_namespaces(oci, {"type": "user"}),
        "linux__uidMappings": MAPPING,
        "linux__gidMappings": MAPPING,
        "linux__sysctl": {"kernel.msgmax": "1234", "net.ipv4.ip_unprivileged_port_start": "7"},
        "hostname": "inside",
    }


def test_everything_works_in_a_user_namespace_and_for_who_joins_it(
    oci: Oci, of_users: dict[str, Any]
) -> None:
    bundle = oci.bundle("a", "sleep", "100", **of_users)
    passable(bundle)
    oci.ok("create", "-b", str(bundle), "a", capture_output=False)
    oci.ok("start", "a")
    said = oci.ok("exec", "a", "sh", "-c", INSIDE).splitlines()
    assert said[:3] == ["0", "inside", "1234"]
    assert all(int(count) >= 1 for count in said[3:8])
    assert said[8:11] == ["1", "not a tty", "0"]
    pid = oci.state("a")["pid"]
    user = os.readlink(f"/proc/{pid}/ns/user")
    assert said[11] == user
    assert (bundle / "rootfs/tmp/mine").stat().st_uid == 100_000
    # Another one joins its users and its network, and has the rest for itself.
    joined = [
        {"type": "user", "path": f"/proc/{pid}/ns/user"},
        {"type": "network", "path": f"/proc/{pid}/ns/net"},
    ]
    other = oci.bundle(
        "b",
        "sh",
        "-c",
        f"{INSIDE}\nreadlink /proc/self/ns/net",
        linux__namespaces=with_namespaces(oci, *joined),
        linux__cgroupsPath=f"/{oci.home.name}-b",
        linux__sysctl={"kernel.msgmax": "4321"},
        hostname="other",
    )
    passable(other)
    said = oci.ok("run", "-b", str(other), "b").splitlines()
    assert said[:3] == ["0", "other", "4321"]
    assert said[11:] == [user, os.readlink(f"/proc/{pid}/ns/net")]


def test_the_network_of_others_for_a_new_user_namespace(oci: Oci, of_users: dict[str, Any]) -> None:
    """Joined by who still may: a new user namespace has no say in what was there before it."""
    with subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE) as holder:
        path = f"/proc/{holder.pid}/ns/net"
        while os.readlink(path) == os.readlink("/proc/self/ns/net"):
            os.sched_yield()
        theirs = {"type": "network", "path": path}
        of_users["linux__namespaces"] = with_namespaces(oci, {"type": "user"}, theirs)
        del of_users["linux__sysctl"]
        bundle = oci.bundle("a", "readlink", "/proc/self/ns/net", **of_users)
        passable(bundle)
        assert oci.ok("run", "-b", str(bundle), "a") == os.readlink(path) + "\n"
        assert holder.stdin is not None
        holder.stdin.close()


def test_a_user_namespace_without_a_root(oci: Oci, of_users: dict[str, Any]) -> None:
    mapped = [{"containerID": 7, "hostID": 100_007, "size": 1}]
    of_users |= {"linux__uidMappings": mapped, "linux__gidMappings": mapped}
    # Settings belong to the root that it has not.
    del of_users["linux__sysctl"]
    bundle = oci.bundle("a", "id", "-u", process__user={"uid": 7, "gid": 7}, **of_users)
    passable(bundle)
    # Whoever sets it up owns its files, which are few: the bundle has the rest.
    for folder in ("proc", "sys", "dev"):
        os.chown(bundle / "rootfs" / folder, 100_007, 100_007)
    assert oci.ok("run", "-b", str(bundle), "a") == "7\n"


def test_the_tree_of_another(oci: Oci) -> None:
    oci.create("a", "sleep", "100")
    oci.ok("start", "a")
    pid = oci.state("a")["pid"]
    bundle = oci.bundle(
        "b",
        "sh",
        "-c",
        "readlink /proc/self/ns/mnt; ls -d /proc/1 /sys/fs",
        mounts=[],
        linux__namespaces=[
            {"type": "mount", "path": f"/proc/{pid}/ns/mnt"},
            {"type": "pid", "path": f"/proc/{pid}/ns/pid"},
        ],
        linux__cgroupsPath=f"/{oci.home.name}-b",
        linux__maskedPaths=None,
        linux__readonlyPaths=None,
        hostname="",
    )
    said = oci.ok("run", "-b", str(bundle), "b").splitlines()
    assert said == [os.readlink(f"/proc/{pid}/ns/mnt"), "/proc/1", "/sys/fs"]


@pytest.mark.parametrize("kind", ["user", "mount", "time", "network", "pid"])
def test_what_is_not_that_namespace_is_told(oci: Oci, kind: str) -> None:
    wrong = {"type": kind, "path": "/proc/self/ns/uts"}
    changes: dict[str, Any] = {"linux__namespaces": with_namespaces(oci, wrong)}
    if kind == "mount":
        changes |= {"mounts": [], "linux__maskedPaths": None, "linux__readonlyPaths": None}
    bundle = oci.bundle("a", "true", **changes)
    said = oci.refused("run", "-b", str(bundle), "a")
    assert f"is it a {kind} namespace?" in said
    assert ("uts:[" if kind == "pid" else "/proc/self/ns/uts") in said


def test_files_shown_as_those_of_others(oci: Oci, tmp_path: Path) -> None:
    if not shows_other_ids(tmp_path):
        pytest.skip("a filesystem without mapped ids")
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").touch()
    os.chown(source / "file", 5, 6)
    below = source / "below"
    below.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(below)], check=True)
    try:
        os.chown(below, 5, 6)

        def mount(name: str, *options: str, **mappings: Any) -> dict[str, Any]:
            options = (*options, "rw")
            return {"destination": name, "source": str(source), "options": options, **mappings}

        mapped = [{"containerID": 5, "hostID": 1005, "size": 10}]
        both = {"uidMappings": mapped, "gidMappings": mapped}
        said = oci.run(
            "sh",
            "-c",
            "for m in one top all; do stat -c '%u:%g' /$m/file /$m/below; done",
            mounts=[
                *oci.spec["mounts"],
                mount("/one", "bind", **both),
                mount("/top", "rbind", "idmap", **both),
                mount("/all", "rbind", "ridmap", **both),
            ],
        ).splitlines()
        # What is below is a directory of root's to the first, and is no id of the mapping.
        nobody = Path("/proc/sys/fs/overflowuid").read_text().strip()
        assert said[0] == "1005:1006"
        assert said[1] == f"{nobody}:{nobody}"
        assert said[2:] == ["1005:1006", "5:6", "1005:1006", "1005:1006"]
    finally:
        subprocess.run(["umount", str(below)], check=True)


def test_a_volume_of_the_users_of_a_user_namespace(
    oci: Oci, of_users: dict[str, Any], tmp_path: Path
) -> None:
    """With the mapping of the container: its root's files are the machine's root's."""
    if not shows_other_ids(tmp_path):
        pytest.skip("a filesystem without mapped ids")
    source = tmp_path / "source"
    source.mkdir()
    mount = {"destination": "/v", "source": str(source), "options": ["bind", "idmap"]}
    bundle = oci.bundle(
        "a",
        "sh",
        "-c",
        "touch /v/new; stat -c %u /v/new",
        mounts=[*oci.spec["mounts"], mount],
        **of_users,
    )
    passable(bundle)
    (bundle / "rootfs/v").mkdir()
    assert oci.ok("run", "-b", str(bundle), "a") == "0\n"
    assert (source / "new").stat().st_uid == 0


def test_a_filesystem_that_cannot_show_other_ids_is_told(oci: Oci) -> None:
    mapped = [{"containerID": 0, "hostID": 1000, "size": 10}]
    mount = {
        "destination": "/v",
        "source": "/sys/kernel",
        "options": ["bind"],
        "uidMappings": mapped,
        "gidMappings": mapped,
    }
    bundle = oci.bundle("a", "true", mounts=[*oci.spec["mounts"], mount])
    said = oci.refused("run", "-b", str(bundle), "a")
    assert "map-mount /sys/kernel for /v: Invalid argument" in said
    assert "cannot show other ids" in said


def test_features_tell_of_them(oci: Oci) -> None:
    found = json.loads(oci.ok("features"))
    assert found["linux"]["mountExtensions"]["idmap"]["enabled"]
    assert {"time", "user"} <= set(found["linux"]["namespaces"])
