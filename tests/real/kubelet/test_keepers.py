"""What becomes of a node's pods when its keeper dies."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from engine.types.pods import Pod
from tests.real.kubelet.conftest import NOTHING, PATIENCE_S, Cluster
from tests.real.kubelet.test_pods import OBEDIENT, main, running
from tests.real.runtime.programs import copied, use


def statuses(pod: Pod):
    return pod.status.container_statuses


def all_ready(pod: Pod) -> bool:
    return len(statuses(pod)) > 0 and all(status.ready for status in statuses(pod))


PROBED = {"exec": {"command": ["true"]}, "periodSeconds": 1, "failureThreshold": 1}


async def test_a_dead_keeper_is_replaced_under_its_containers(cluster: Cluster) -> None:
    """Nothing of a pod is restarted, nor called unready, and its files in memory are there."""
    beat = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done"
    memory = {"name": "m", "mountPath": "/m"}
    await cluster.run(
        "beat",
        {"command": ["sh", "-c", beat], "readinessProbe": PROBED, "livenessProbe": PROBED},
        {"name": "once", "command": ["sh", "-c", OBEDIENT], "volumeMounts": [memory]},
        volumes=[{"name": "m", "emptyDir": {"medium": "Memory"}}],
    )
    pod = await cluster.until("beat", lambda p: running(p) and all_ready(p))
    states = {s.id: s for s in await cluster.kubelet.node.runtime.containers()}
    ids = {s.name: s.container_id.removeprefix("podarium://") for s in statuses(pod)}
    found = await cluster.kubelet.node.runtime.exec(
        ids["once"], ["sh", "-c", "echo kept > /m/file"], timeout_s=PATIENCE_S
    )
    assert found.exit_code == 0
    unready = asyncio.create_task(cluster.until("beat", lambda p: not all_ready(p)))
    for _ in range(2):
        lost = cluster.kubelet.node.runtime
        os.kill(lost.keeper_pid, 9)
        runtime = await cluster.kubelet.node.another_than(lost)
        assert {s.id: s.pid for s in await runtime.containers()} == {
            id: state.pid for id, state in states.items()
        }
    said = [int(line) for line in (await cluster.log("beat")).split()]
    assert said == list(range(1, len(said) + 1))
    assert not unready.done()
    unready.cancel()
    # Only now it ends, and starts again in the same pod: on the same volume.
    await cluster.kubelet.node.runtime.signal(ids["once"], 9)
    pod = await cluster.until("beat", lambda p: statuses(p)[1].restart_count == 1 and running(p))
    assert statuses(pod)[0].restart_count == 0
    assert statuses(pod)[1].last_state.terminated.exit_code == 137
    assert statuses(pod)[1].last_state.terminated.reason == "Error"
    id = statuses(pod)[1].container_id.removeprefix("podarium://")
    kept = await cluster.kubelet.node.runtime.exec(id, ["cat", "/m/file"], timeout_s=PATIENCE_S)
    assert kept.output == b"kept\n"
    assert "KeeperAdopted" in await cluster.events("n1")
    await cluster.delete("beat", grace=0)
    assert await cluster.settled() == NOTHING


async def test_a_stop_that_a_dying_keeper_did_not_hear_is_asked_again(cluster: Cluster) -> None:
    stubborn = "trap '' TERM; while :; do sleep 0.1; done"
    await cluster.run("again", {"command": ["sh", "-c", stubborn]})
    await cluster.until("again", running)
    lost = cluster.kubelet.node.runtime
    os.kill(lost.keeper_pid, signal.SIGSTOP)
    await cluster.client.delete(Pod, "again", "default", grace_period=1)
    await cluster.until_told("again", {"Stopping container main"})
    os.kill(lost.keeper_pid, signal.SIGKILL)
    await cluster.kubelet.node.another_than(lost)
    assert await cluster.settled() == NOTHING


async def test_without_engine_and_keeper_containers_end_and_start_again(cluster: Cluster) -> None:
    await cluster.run("again", {"command": ["sh", "-c", OBEDIENT]})
    await cluster.run("done", {"command": ["sh", "-c", "exit 3"]}, restartPolicy="Never")
    await cluster.until("again", running)
    await cluster.until("done", lambda p: p.status.phase == "Failed")
    await cluster.stop_kubelet()
    runtime = cluster.runtime
    runtime.close()
    os.kill(runtime.keeper_pid, 9)
    await cluster.restart_kubelet(stopped=True)
    pod = await cluster.until(
        "again", lambda p: main(p).restart_count == 1 and running(p) and main(p).state.running
    )
    assert main(pod).last_state.terminated.reason == "ContainerStatusUnknown"
    pod = await cluster.until("done", lambda p: p.status.phase == "Failed")
    assert main(pod).state.terminated.exit_code == 3
    assert "KeeperLost" in await cluster.events("n1")
    await cluster.delete("again", grace=0)
    await cluster.delete("done", grace=0)
    assert await cluster.settled() == NOTHING


async def test_an_exit_that_the_kernel_tells_nobody_is_said_to_be_unknown(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before Linux 6.15, when an orphan has been reaped by the machine's init."""
    await cluster.run("p", {"command": ["sh", "-c", OBEDIENT]}, restartPolicy="Never")
    pod = await cluster.until("p", running)
    lost = cluster.kubelet.node.runtime
    first = "status = zombie_status(pid)"
    use(monkeypatch, copied(tmp_path, "runtime/keeper/process.py", first, "return None"))
    os.kill(lost.keeper_pid, signal.SIGKILL)
    runtime = await cluster.kubelet.node.another_than(lost)
    await runtime.signal(main(pod).container_id.removeprefix("podarium://"), signal.SIGKILL)
    pod = await cluster.until("p", lambda p: p.status.phase == "Failed")
    ended = main(pod).state.terminated
    assert (ended.exit_code, ended.reason) == (137, "ContainerStatusUnknown")
    assert ended.message.startswith("Its exit code is not known: the keeper that started it had")
    await cluster.delete("p", grace=0)
    assert await cluster.settled() == NOTHING
