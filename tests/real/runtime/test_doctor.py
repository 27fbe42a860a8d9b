"""The doctor's facts on this machine, against what other programs say of it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from engine.home import SOCKET_PATH_MAX
from engine.linux.process import capget
from engine.network.probe import nat_fails
from engine.runtime import trials
from engine.runtime.machine import CALLS, Machine, look

DOCTOR = [str(Path(sys.executable).with_name("podarium")), "doctor"]


@pytest.fixture
def machine(home: Path) -> Machine:
    return look(home, root=True, nat=nat_fails)


def told(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_it_finds_what_this_machine_has(machine: Machine, home: Path) -> None:
    assert machine.release == os.uname().release
    assert machine.calls == frozenset(CALLS)
    assert machine.nat == ""
    assert machine.upper == ""
    assert machine.socket == ""
    assert machine.home_type == told("stat", "--file-system", "--format=%T", str(home)).replace(
        "ext2/ext3", "ext4"
    )
    assert machine.capabilities == capget()[0]
    assert machine.python == sys.version_info[:2]
    assert {"proc", "tmpfs", "overlay"} <= machine.filesystems


def test_trying_leaves_nothing_behind(machine: Machine, home: Path) -> None:
    assert list(home.iterdir()) == []
    assert "podarium_probe" not in told("nft", "list", "tables")
    assert ".podarium-" not in Path("/proc/self/mountinfo").read_text()


def test_a_filesystem_that_cannot_hold_an_upper_layer_is_found_out(home: Path) -> None:
    # /proc can hold nothing at all; an overlay's upper is refused where xattrs are not kept.
    assert trials.upper(Path("/proc")) != ""
    assert trials.upper(home) == ""


def test_a_home_that_is_not_there_yet_is_judged_by_where_it_will_be(home: Path) -> None:
    found = look(home / "some" / "where", root=True, nat=lambda: "")
    assert found.home_type == look(home, root=True, nat=lambda: "").home_type
    assert not (home / "some").exists()


def test_a_home_too_deep_for_sockets_is_told(home: Path) -> None:
    deep = home / ("d" * SOCKET_PATH_MAX)
    assert "shorter PODARIUM_HOME" in look(deep, root=True, nat=lambda: "").socket


def test_the_command_exits_0_where_clusters_run_and_1_where_not(home: Path) -> None:
    env = {**os.environ, "PODARIUM_HOME": str(home)}
    well = subprocess.run([*DOCTOR, "--json"], env=env, capture_output=True)
    assert well.returncode == 0, well.stdout.decode()
    assert json.loads(well.stdout)["runs"] is True
    env["PODARIUM_HOME"] = "/proc/nothing-can-be-made-here"
    ill = subprocess.run(DOCTOR, env=env, capture_output=True)
    assert ill.returncode == 1
    assert b"Clusters cannot run here" in ill.stdout
    assert ill.stderr == b""


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv")
def test_an_ordinary_user_is_told_what_only_root_can_tell() -> None:
    """With a program of ours that they may read, wherever this checkout is."""
    code = (
        "from pathlib import Path; from engine.runtime.features import probe;"
        "from engine.runtime.machine import look; from engine.runtime.doctor import examine;"
        "found = probe(); home = Path('/var/lib/podarium');"
        "checks = examine(found, look(home, root=found.root, nat=lambda: 1 / 0));"
        "print(*(f'{c.state} {c.name}' for c in checks), sep='\\n')"
    )
    with tempfile.TemporaryDirectory(prefix="pdm") as folder:
        os.chmod(folder, 0o755)
        shutil.copytree(Path(trials.__file__).parents[2] / "engine", Path(folder, "engine"))
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        command = [*user, "--inh-caps=-all", sys.executable, "-c", code]
        # Python's own files must be readable; those of a checkout in root's home are not.
        env = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "missing root" in lines
    assert [line for line in lines if line.startswith("missing")] == ["missing root"]
    assert "unknown nf_tables, masquerade" in lines
    assert "unknown bridge devices" in lines
