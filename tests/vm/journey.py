"""A cluster from the first command to the last, inside the machine. Run by test_v2.py."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.home import ClusterPaths
from engine.runtime.cgroup.api import detect
from tests.real.cluster.machine import traces

PATHS = ClusterPaths.of(Path("/var/lib/podarium"))
PODARIUM = str(Path(sys.executable).with_name("podarium"))
LEAK = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "leak"},
    "spec": {
        "restartPolicy": "Never",
        "containers": [
            {
                "name": "leak",
                "image": "podarium/host",
                "command": ["python", "-c", "x = bytearray(1 << 27); print(len(x))"],
                "resources": {"limits": {"memory": "32Mi"}},
            }
        ],
    },
}
CONTAINER = ("unshare", "--mount", "--cgroup", "sh", "-c")
SEE_OWN_CGROUPS = "umount /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup"
LIMIT = """
from engine.runtime.cgroup.api import Resources, detect
from engine.runtime.needs import missing
detect().create(b"pod/box")
detect().limit(b"pod/box", Resources(memory_limit=1 << 20))
detect().remove(b"pod")
print(missing())
"""


def told(*command: str, code: int = 0) -> str:
    """What it said on both outputs."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}"
    return done.stdout


CONTROL = Path("/sys/fs/cgroup/cgroup.subtree_control")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    told(PODARIUM, "up", "--nodes", "1")
    yield
    subprocess.run([PODARIUM, "down"], check=True)


def test_the_machine_is_what_this_is_about() -> None:
    hierarchy = detect()
    assert hierarchy.name == "v2"
    assert hierarchy.controllers >= {b"cpu", b"memory", b"pids"}
    # Before 6.5 overlay was mounted another way.
    assert platform.release().startswith("6.1.")


def test_cgroups_that_are_read_only_are_told() -> None:
    script = f"mount -o remount,bind,ro /sys/fs/cgroup && exec {PODARIUM} up"
    said = told("unshare", "--mount", "sh", "-c", script, code=1)
    assert "/sys/fs/cgroup is read-only" in said
    assert "--privileged" in said


def test_controllers_that_are_not_delegated_are_told() -> None:
    """A session of systemd has none."""
    said = told(*CONTAINER, f"{SEE_OWN_CGROUPS} && exec {PODARIUM} up", code=1)
    assert "memory controller" in said
    assert "in a container: have the controller delegated" in said


def test_what_a_container_of_docker_lacks_and_how_to_mend_it() -> None:
    """Its first process is in what it sees as the root of all cgroups."""
    detect().create(b"docker/box")
    enter = ["sh", "-c", 'echo $$ > /sys/fs/cgroup/docker/box/cgroup.procs; exec "$@"', "sh"]
    enter += [*CONTAINER]
    said = told(*enter, f"{SEE_OWN_CGROUPS} && exec {PODARIUM} up", code=1)
    assert "a root without processes" in said
    (cure,) = re.findall(r"or, as root: (.*procs)", said)
    command = f"{SEE_OWN_CGROUPS} && {cure}; {sys.executable} -c '{LIMIT}'"
    assert told(*enter, command) == "[]\n"
    detect().remove(b"docker")


def test_a_program_s_output_and_exit_code(cluster: None) -> None:
    command = [PODARIUM, "run", "podarium/host", "--", "sh", "-c"]
    assert told(*command, "cat /proc/self/cgroup; exit 3", code=3) == "0::/\n"


def test_limits_are_in_force_and_their_end_is_told_rightly(cluster: None, tmp_path: Path) -> None:
    manifest = tmp_path / "leak.json"
    manifest.write_text(json.dumps(LEAK))
    told(PODARIUM, "apply", "-f", str(manifest))
    while (pod := json.loads(told(PODARIUM, "get", "pod", "leak", "-o", "json")))["status"][
        "phase"
    ] in ("Pending", "Running"):
        pass
    assert pod["status"]["phase"] == "Failed"
    (status,) = pod["status"]["containerStatuses"]
    ended = status["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_down_leaves_nothing(cluster: None) -> None:
    assert traces(PATHS) != []
    told(PODARIUM, "down")
    assert traces(PATHS) == []
    assert [f.name for f in Path("/sys/fs/cgroup").iterdir() if f.is_dir()] == ["user.slice"]
    # Nobody here but us has the root hand controllers down.
    assert CONTROL.read_text().split() == []


def test_a_cluster_of_a_delegated_unit_stays_in_it() -> None:
    """Started in it, asked and taken down from elsewhere."""
    hierarchy = detect()
    hierarchy.create(b"system.slice/box.scope/leaf")
    hierarchy.remove(b"system.slice/box.scope/leaf")
    unit = Path("/sys/fs/cgroup/system.slice/box.scope")
    (unit / "cgroup.subtree_control").write_text("-cpu -memory -pids")
    os.setxattr(unit, "trusted.delegate", b"1")
    enter = f'echo $$ > {unit}/cgroup.procs; exec "$@"'
    told("sh", "-c", enter, "sh", PODARIUM, "up", "--nodes", "1")
    assert (unit / os.fsdecode(PATHS.cgroup) / "node-1").is_dir()
    assert told(PODARIUM, "run", "podarium/host", "--", "echo", "hello") == "hello\n"
    told(PODARIUM, "down")
    assert traces(PATHS) == []
    assert [f.name for f in unit.iterdir() if f.is_dir()] == ["podarium"]
    assert (unit / "cgroup.subtree_control").read_text().split() == []
    hierarchy.remove(b"system.slice")
