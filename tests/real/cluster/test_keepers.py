"""Keepers that die, and engines that are newer than their keeper: what kubectl sees of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from engine.home import NodePaths
from engine.launch import running, stop
from engine.linux.process import pid_alive, start_time
from engine.runtime import program
from engine.runtime.runtime import Runtime
from engine.teardown import remains
from tests.real.cluster.conftest import Shell
from tests.real.cluster.machine import contained

pytestmark = pytest.mark.xdist_group("keepers")

BEAT = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done"
ONCE = "while ! test -e /go; do sleep 0.05; done; exit 7"
PODS = f"""
apiVersion: v1
kind: Pod
metadata: {{name: beat}}
spec:
  nodeName: node-1
  containers:
  - name: main
    image: podarium/host
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "{BEAT}"]
---
apiVersion: v1
kind: Pod
metadata: {{name: once}}
spec:
  nodeName: node-1
  restartPolicy: Never
  containers:
  - name: main
    image: podarium/host
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "{ONCE}"]
"""


def keeper_of(node: NodePaths) -> int:
    return int(node.keeper_pid.read_text().split()[0])


class Cluster:
    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.node = shell.paths.node("node-1")

    def pod(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.shell.kubectl("get", "pod", name, "-o", "json"))
        return status["status"]["containerStatuses"][0]

    def pids(self) -> list[int]:
        return [pid for script in (BEAT, ONCE) for pid in contained(self.shell.paths, script)]

    def until(self, what: Any) -> Any:
        """What is seen through kubectl, once it is true."""
        while not (found := what()):
            time.sleep(0.05)
        return found

    def until_told(self, reason: str) -> str:
        """The node's event of that reason."""
        fields = f"involvedObject.kind=Node,reason={reason}"
        words = ("get", "events", "-A", "--field-selector", fields, "-o", "jsonpath={..message}")
        return str(self.until(lambda: self.shell.kubectl(*words)))

    def beats_on(self) -> list[int]:
        """What `beat` has said; not before it has gone on from now."""
        log = lambda: [int(n) for n in self.shell.kubectl("logs", "beat").split()]  # noqa: E731
        now = len(log())
        return list(self.until(lambda: (said := log())[now + 3 :] and said))


@pytest.fixture(scope="module")
def cluster(shell: Shell, home: Path) -> Cluster:
    manifest = home / "pods.yaml"
    manifest.write_text(PODS)
    shell.kubectl("apply", "-f", str(manifest))
    shell.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "pod/beat", "pod/once")
    return Cluster(shell)


def test_a_keeper_dies_under_a_living_engine(cluster: Cluster) -> None:
    pids, keeper = cluster.pids(), keeper_of(cluster.node)
    assert len(pids) == 2
    os.kill(keeper, signal.SIGKILL)
    assert "nothing is lost" in cluster.until_told("KeeperAdopted")
    assert keeper_of(cluster.node) != keeper
    said = cluster.beats_on()
    assert said == list(range(1, len(said) + 1))
    assert cluster.pids() == pids
    wait = ("wait", "--for=condition=Ready", "--timeout=60s", "node/node-1", "pod/beat")
    cluster.shell.kubectl(*wait)
    assert cluster.pod("beat")["restartCount"] == 0
    # What it did not clone itself, the new one sees the end of.
    cluster.shell.kubectl("exec", "once", "--", "touch", "/go")
    ended = cluster.until(lambda: cluster.pod("once")["state"].get("terminated"))
    assert (ended["exitCode"], ended["reason"]) == (7, "Error")


def test_an_engine_that_is_newer_makes_the_keeper_new_in_place(cluster: Cluster) -> None:
    pids, keeper = cluster.pids(), keeper_of(cluster.node)
    stop(cluster.shell.paths)

    async def be_another() -> None:
        runtime = await Runtime.attach(cluster.node)
        assert runtime is not None
        words = (*program.words(cluster.node, "node-1")[:-1], "an-older-one")
        await runtime.become(program.interpreter(), words)
        runtime.close()

    asyncio.run(be_another())
    cluster.shell.podarium("up")
    told = cluster.until_told("KeeperUpgraded")
    assert told == f"the keeper, pid {keeper}, became this engine's program in place"
    assert told in cluster.shell.paths.boot_log.read_text()
    assert keeper_of(cluster.node) == keeper
    said = cluster.beats_on()
    assert said == list(range(1, len(said) + 1))
    assert cluster.pids() == pids
    assert cluster.pod("beat")["restartCount"] == 0
    assert cluster.pod("once")["state"]["terminated"]["exitCode"] == 7


def test_both_die_and_nothing_of_before_is_left(cluster: Cluster) -> None:
    (pid,), keeper = cluster.pids(), keeper_of(cluster.node)
    started = start_time(pid)
    engine = running(cluster.shell.paths)
    assert engine is not None
    # In this order: an engine that lives would go on with the containers.
    for dying in (engine, keeper):
        os.kill(dying, signal.SIGKILL)
        cluster.until(lambda d=dying: not Path(f"/proc/{d}/exe").exists())
    cluster.shell.podarium("up")
    assert "no engine held its containers" in cluster.until_told("KeeperLost")
    cluster.until(lambda: cluster.pod("beat")["restartCount"] == 1 and cluster.pids())
    assert not pid_alive(pid, started)
    last = cluster.pod("beat")["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (137, "ContainerStatusUnknown")
    assert cluster.pod("once")["state"]["terminated"]["exitCode"] == 7
    cluster.shell.podarium("down")
    assert remains(cluster.shell.paths) == []
    assert cluster.pids() == []
    assert not cluster.node.exits.exists()
