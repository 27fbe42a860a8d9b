"""What the keeper holds it also lets go: descriptors, children, and itself."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from engine.runtime.runtime import KeeperLost, Runtime, SandboxConfig, StartError
from tests.real.runtime.conftest import Node, until


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def networks(pid: int) -> int:
    """Namespaces that it holds: the node's, the sandboxes', and the spare ones."""
    found = 0
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += os.readlink(fd).startswith("net:")
        except FileNotFoundError:
            continue
    return found


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


async def cycle(node: Node, name: str) -> None:
    """Everything that takes a descriptor, once, and given back."""
    await node.runtime.create_sandbox(SandboxConfig(id=name, hostname="h"))
    with pytest.raises(OSError, match="nobr"):
        await node.runtime.create_sandbox(
            SandboxConfig(id=f"{name}-x", hostname="h", ip="10.9.9.9", bridge="nobr")
        )
    await node.start(name, "sleep", "1000", sandbox=name)
    await node.runtime.exec(name, ["id"], timeout_s=10)
    with pytest.raises(StartError):
        await node.runtime.exec(name, ["no-such"], timeout_s=10)
    with pytest.raises(StartError):
        await node.start(f"{name}-y", "no-such", sandbox=name)
    with pytest.raises(StartError):
        await node.start(f"{name}-z", "id", sandbox=name, lowerdirs=(node.home / "gone",))
    with pytest.raises(ConnectionRefusedError):
        await node.runtime.dial("127.0.0.1", 9, 5)
    other = await Runtime.attach(node.paths)
    assert other is not None
    other.close()
    await node.runtime.kill(name)
    await node.future(name)
    await node.runtime.remove(name)
    await node.runtime.remove_sandbox(name)


async def test_no_descriptor_is_lost_on_either_side(node: Node) -> None:
    keeper = node.runtime.keeper_pid
    await cycle(node, "first")
    await until(lambda: children(keeper) == [])
    # The node's, the one of "pod", and as many spare ones as there are when none is needed.
    await until(lambda: networks(keeper) == 4)
    before = descriptors(keeper), descriptors(os.getpid())
    for number in range(5):
        await cycle(node, f"c{number}")
    # The other connection's end reaches the keeper when it comes to it.
    await until(lambda: descriptors(keeper) == before[0])
    assert descriptors(os.getpid()) == before[1]
    assert children(keeper) == []


async def test_a_shutdown_in_the_middle_of_everything(node: Node) -> None:
    await node.start("running", "sleep", "1000")
    tasks = [
        asyncio.create_task(node.runtime.exec("running", ["sleep", "1000"], timeout_s=1000)),
        *(asyncio.create_task(node.start(f"c{n}", "sleep", "1000")) for n in range(5)),
    ]
    # Let the requests leave, and not one of them be answered.
    await asyncio.sleep(0)
    other = await Runtime.attach(node.paths)
    assert other is not None
    await other.shutdown()
    other.close()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(not isinstance(o, BaseException) or isinstance(o, KeeperLost) for o in outcomes)
    assert isinstance(outcomes[0], KeeperLost)
    assert node.runtime.lost.is_set()
    with pytest.raises(KeeperLost):
        await node.runtime.shutdown()


async def test_an_engine_that_goes_takes_its_execs_along(node: Node) -> None:
    state = await node.start("c", "sleep", "1000")
    second = await Runtime.attach(node.paths)
    assert second is not None
    task = asyncio.create_task(second.exec("c", ["sleep", "999"], timeout_s=1000))
    tasks = Path(f"/proc/{node.runtime.keeper_pid}/task/{node.runtime.keeper_pid}/children")
    await until(lambda: len(tasks.read_text().split()) == 2)
    second.close()
    with pytest.raises(KeeperLost):
        await task
    await until(lambda: tasks.read_text().split() == [str(state.pid)])
