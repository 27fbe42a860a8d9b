"""The command's words, exit codes and errors, on a real cluster of one small node."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.home import ClusterPaths
from tests.real.cluster.conftest import Shell
from tests.real.cluster.machine import traces

pytestmark = pytest.mark.xdist_group("shell")


@pytest.fixture(scope="module")
def shell(home: Path) -> Iterator[Shell]:
    shell = Shell(ClusterPaths.of(home, "small"))
    shell.podarium("up", "--nodes", "1", "--node-cpu", "2", "--node-memory", "1Gi")
    yield shell
    shell.podarium("down", "--purge")
    assert not shell.paths.state.exists()


def test_up_twice_is_no_error(shell: Shell) -> None:
    assert "already running" in shell.podarium("up")


def test_status_counts(shell: Shell) -> None:
    assert "node node-1: Ready" in shell.podarium("status")


def test_a_nodes_capacity_is_as_told(shell: Shell) -> None:
    capacity = shell.kubectl("get", "node", "node-1", "-o", "jsonpath={.status.capacity}")
    assert '"cpu":"2"' in capacity
    assert '"memory":"1Gi"' in capacity or '"memory":"1048576Ki"' in capacity


def test_run_shows_the_output_and_gives_the_code(shell: Shell) -> None:
    words = ["run", "podarium/host", "--", "sh", "-c", "echo $0 $GREETING; exit 3", "hello"]
    assert shell.podarium(*words, code=3) == "hello\n"
    words[1:1] = ["-e", "GREETING=world"]
    assert shell.podarium(*words, code=3) == "hello world\n"
    assert "small" not in shell.podarium("get", "pods", "-o", "name")


def test_a_program_that_cannot_be_executed_is_named(shell: Shell) -> None:
    said = shell.podarium("run", "podarium/host", "--", "/no/such/program", code=128)
    assert "/no/such/program" in said


def test_run_detached_prints_the_name(shell: Shell) -> None:
    words = ("run", "-d", "--name", "sleeper", "podarium/host", "--", "sleep", "600")
    assert shell.podarium(*words) == "sleeper\n"
    shell.kubectl("wait", "--for=condition=Ready", "--timeout=30s", "pod/sleeper")
    assert "AlreadyExists" in shell.podarium(*words, code=1)
    assert shell.podarium("delete", "pod", "sleeper") == 'pod "sleeper" deleted\n'
    shell.kubectl("wait", "--for=delete", "--timeout=60s", "pod/sleeper")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "127.0.0.1:1/no/such:image", "--", "true"), "127.0.0.1:1"),
        (("get", "gadgets"), "gadgets"),
        (("get", "pods", "nobody"), '"nobody" not found'),
        (("delete", "pod", "nobody"), '"nobody" not found'),
        (("logs", "nobody"), '"nobody" not found'),
        (("apply", "-f", "/no/such/file"), "/no/such/file"),
    ],
)
def test_what_is_not_there_is_named(shell: Shell, words: tuple[str, ...], said: str) -> None:
    assert said in shell.podarium(*words, code=1)


def test_a_bad_manifest_is_refused_with_every_cause(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: Bad_Name}\nspec: {containers: [{name: a}]}\n"
    )
    said = shell.podarium("apply", "-f", str(file), code=1)
    assert "metadata.name" in said
    assert "spec.containers[0].image: Required value" in said
    assert shell.podarium("get", "pods", "-o", "name") == ""


def test_the_shape_of_a_living_cluster_is_not_changed_silently(shell: Shell) -> None:
    shell.podarium("down")
    said = shell.podarium("up", "--nodes", "2", code=1)
    assert "--nodes 1" in said
    assert "--purge" in said
    assert traces(shell.paths) == []
    shell.podarium("up")


def test_two_clusters_side_by_side_share_only_images(shell: Shell, home: Path) -> None:
    other = Shell(ClusterPaths.of(home, "other"))
    other.podarium("up", "--nodes", "1")
    try:
        other.podarium("run", "-d", "--name", "mine", "podarium/host", "--", "sleep", "600")
        other.kubectl("wait", "--for=condition=Ready", "--timeout=30s", "pod/mine")
        assert "mine" not in shell.podarium("get", "pods", "-o", "name")
        addresses = [
            each.kubectl("get", "node", "node-1", "-o", "jsonpath={.status.addresses[0].address}")
            for each in (shell, other)
        ]
        assert len(set(addresses)) == 2
    finally:
        other.podarium("down", "--purge")
    assert traces(other.paths) == []
    assert "node node-1: Ready" in shell.podarium("status")


def test_archives_are_loaded_into_the_shared_store(shell: Shell, tmp_path: Path) -> None:
    source = f"oci:{shell.paths.images}:docker.io/podarium/host:latest"
    layout = subprocess.run(
        [
            "skopeo",
            "--insecure-policy",
            "copy",
            "-q",
            source,
            f"docker-archive:{tmp_path}/a.tar:x/y:1",
        ],
        capture_output=True,
        text=True,
    )
    assert layout.returncode == 0, layout.stderr
    assert "x/y:1" in shell.podarium("load", "-i", f"{tmp_path}/a.tar")
    assert "x/y:1" in shell.podarium("images")
    assert shell.podarium("run", "x/y:1", "--", "echo", "loaded") == "loaded\n"
    assert "nothing" in shell.podarium("load", "-i", f"{tmp_path}/nothing", code=1)


def test_plan_is_printed_without_root(shell: Shell) -> None:
    manifest = Path(__file__).parents[3] / "podarium" / "demo" / "web.yaml"
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    command += ["podarium", "plan", "-f", "-"]
    ran = subprocess.run(
        command, input=manifest.read_text(), capture_output=True, text=True, env=shell.env
    )
    assert ran.returncode == 0, ran.stderr
    steps = ["cgroup", "pivot_root", "no-new-privs", "seccomp", "execute python app.py"]
    places = [ran.stdout.index(step) for step in steps]
    assert places == sorted(places)


def test_down_ends_a_keeper_that_hangs(home: Path) -> None:
    hung = Shell(ClusterPaths.of(home, "hung"))
    hung.podarium("up", "--nodes", "1")
    hung.podarium("run", "-d", "podarium/host", "--", "sleep", "600")
    hung.kubectl("wait", "--for=condition=Ready", "--timeout=30s", "pod", "--all")
    keeper = int(hung.paths.node("node-1").keeper_pid.read_text().split()[0])
    os.kill(keeper, signal.SIGSTOP)
    hung.podarium("down", "--purge")
    assert traces(hung.paths) == []
