"""A node that is low on memory, and what the kernel ends in a container that goes on."""

from __future__ import annotations

import asyncio

from engine.types.nodes import Node
from engine.types.pods import Pod
from tests.real.kubelet.conftest import NOTHING, PATIENCE_S, Cluster

NODE = 256 << 20

# Most of it at once, and then slowly beyond what the node has.
GROW = """
import time
held = [bytearray(150 << 20)]
while True:
    held.append(bytearray(1 << 20))
    time.sleep(0.1)
"""
STEADY = "x = bytearray(40 << 20); import time; time.sleep(1000)"
CHILD = """
import os, time
pid = os.fork()
if pid == 0:
    open("/proc/self/oom_score_adj", "w").write("1000")
    x = bytearray(200 << 20)
    os._exit(0)
print(os.waitpid(pid, 0)[1], flush=True)
time.sleep(1000)
"""


async def pressure(cluster: Cluster) -> str:
    node = await cluster.client.get(Node, "n1")
    return next(c.status for c in node.status.conditions if c.type == "MemoryPressure")


async def test_who_uses_more_than_he_asked_for_is_evicted(cluster: Cluster) -> None:
    cluster.memory = NODE
    await cluster.restart_kubelet()
    asked = {"requests": {"memory": "60Mi"}}
    await cluster.run("good", {"command": ["python3", "-c", STEADY], "resources": asked})
    await cluster.until("good", lambda p: p.status.phase == "Running")
    await cluster.run("greedy", {"command": ["python3", "-c", GROW]})
    pod = await cluster.until("greedy", lambda p: p.status.phase == "Failed")
    assert pod.status.reason == "Evicted"
    assert pod.status.message.startswith("The node was low on resource: memory. Threshold ")
    assert "Container main was using " in pod.status.message
    (target,) = (c for c in pod.status.conditions if c.type == "DisruptionTarget")
    assert (target.status, target.reason) == ("True", "TerminationByKubelet")
    ended = pod.status.container_statuses[0].state.terminated
    assert (ended.exit_code, ended.reason) != (0, "OOMKilled")
    assert "Evicted" in await cluster.events("greedy")
    assert (await cluster.client.get(Pod, "good", "default")).status.phase == "Running"
    async with asyncio.timeout(PATIENCE_S):
        while await pressure(cluster) != "True":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    # Meanwhile nobody comes who does not say what he needs.
    await cluster.run("late", {"command": ["sleep", "1000"]})
    pod = await cluster.until("late", lambda p: p.status.phase == "Failed")
    assert pod.status.message == "The node had condition: [MemoryPressure]. "
    for name in ("greedy", "late", "good"):
        await cluster.delete(name, grace=0)
    assert await cluster.settled() == NOTHING


async def test_a_process_that_the_kernel_ends_is_told_of_its_container(cluster: Cluster) -> None:
    """On v2 the whole container would end; on v1 it goes on."""
    limits = {"limits": {"memory": "64Mi"}}
    await cluster.run(
        "p",
        {"command": ["python3", "-c", CHILD], "resources": limits},
        {"name": "other", "command": ["sleep", "1000"], "resources": limits},
        restartPolicy="Never",
    )
    if cluster.hierarchy.name == "v2":
        pod = await cluster.until("p", lambda p: _state(p, "main").terminated)
        assert _state(pod, "main").terminated.reason == "OOMKilled"
    else:
        text = "Memory cgroup out of memory: the kernel ended a process in container main"
        await cluster.until_told("p", {text})
        pod = await cluster.client.get(Pod, "p", "default")
        assert _state(pod, "main").running
    assert _state(pod, "other").running
    await cluster.delete("p", grace=0)


def _state(pod: Pod, name: str):
    return next(s.state for s in pod.status.container_statuses if s.name == name)
