"""Containers that are changed while they run: stopped where they are, and given other limits."""

from __future__ import annotations

import asyncio
import errno
import signal
from pathlib import Path

import pytest

from engine.runtime import program
from engine.runtime.cgroup.api import Resources, detect
from engine.runtime.runtime import Runtime
from tests.real.runtime.conftest import Node, until

COUNT = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.005; done"


def lines(node: Node) -> int:
    return node.log("c").read_bytes().count(b"\n")


async def state_of(runtime: Runtime) -> bool:
    (state,) = await runtime.containers()
    return state.paused


async def test_paused_it_stands_still_until_it_is_resumed(node: Node) -> None:
    await node.start("c", "sh", "-c", COUNT)
    await until(lambda: lines(node) > 3)
    for _ in range(2):
        await node.runtime.pause("c")
        await until(lambda: detect().is_frozen(node.cgroup("c")))
        assert await state_of(node.runtime)
    # All it had said is logged by the time that an exec is refused.
    with pytest.raises(OSError, match="it is paused: resume it first"):
        await node.runtime.exec("c", ["id"], timeout_s=10)
    said = lines(node)
    # An engine that comes now knows, and so does another program of the keeper.
    await node.runtime.become(program.interpreter(), program.words(node.paths, "n"))
    assert await state_of(node.runtime)
    assert lines(node) == said
    for _ in range(2):
        await node.runtime.resume("c")
    assert not await state_of(node.runtime)
    await until(lambda: lines(node) > said + 3)
    assert (await node.runtime.exec("c", ["id"], timeout_s=10)).exit_code == 0


async def test_a_paused_one_can_be_killed(node: Node) -> None:
    await node.start("c", "sleep", "1000")
    await node.runtime.pause("c")
    await node.runtime.kill("c")
    state = await asyncio.wait_for(node.future("c"), 20)
    assert state.signal == signal.SIGKILL
    assert not state.paused
    for verb in (node.runtime.pause, node.runtime.resume):
        with pytest.raises(OSError, match="not running") as raised:
            await verb("c")
        assert raised.value.errno == errno.ESRCH


async def test_a_shutdown_ends_what_is_paused(node: Node) -> None:
    """And leaves nothing, which the node's own end looks for."""
    await node.start("c", "sleep", "1000")
    await node.runtime.pause("c")


def limit(node: Node, controller: str, v1: str, v2: str) -> int:
    """What the kernel says of a limit, in whatever tree it is."""
    for folder in map(Path, map(bytes.decode, detect().directories(node.cgroup("c")))):
        for file in (folder / v1, folder / v2):
            if file.exists():
                return int(file.read_text().split()[0])
    raise AssertionError(f"{controller} is nowhere")


async def test_limits_are_changed_under_it(node: Node) -> None:
    await node.start(
        "c", "sleep", "1000", resources=Resources(pids_limit=100, memory_limit=1 << 26)
    )
    await node.runtime.update("c", Resources(memory_limit=1 << 27, cpu_quota_us=50_000))
    assert limit(node, "memory", "memory.limit_in_bytes", "memory.max") == 1 << 27
    assert limit(node, "cpu", "cpu.cfs_quota_us", "cpu.max") == 50_000
    # What is not given stays.
    assert limit(node, "pids", "pids.max", "pids.max") == 100
    await node.runtime.update("c", Resources(memory_limit=1 << 26, pids_limit=3))
    assert limit(node, "memory", "memory.limit_in_bytes", "memory.max") == 1 << 26
    assert limit(node, "pids", "pids.max", "pids.max") == 3
    with pytest.raises(OSError, match="no such container"):
        await node.runtime.update("nobody", Resources())
    with pytest.raises(OSError, match=r"cpu\.|cfs_quota"):
        await node.runtime.update("c", Resources(cpu_quota_us=1))
