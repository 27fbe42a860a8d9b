"""A keeper is killed under its containers. Held by an engine they go on; else they are ended."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from engine.linux.process import pid_alive, start_time
from engine.runtime import held
from engine.runtime.cgroup.api import detect
from engine.runtime.keeper.exits import Exits
from engine.runtime.runtime import KeeperLost, Origin, Runtime, SandboxConfig
from engine.runtime.spec import default_spec
from tests.real.runtime.conftest import Node, said, until
from tests.real.runtime.programs import copied, use
from tests.real.runtime.test_keeping import descriptors
from tests.real.runtime.test_pool import ahead
from tests.real.runtime.test_session import until_said


async def kill_keeper(node: Node) -> None:
    os.kill(node.runtime.keeper_pid, signal.SIGKILL)
    await node.runtime.lost.wait()


@asynccontextmanager
async def another(node: Node, *, after: Runtime | None) -> AsyncIterator[Runtime]:
    """The node's next runtime, whose exits are followed."""
    runtime = node.runtime = await Runtime.launch(node.paths, node="n", after=after)
    follower = asyncio.create_task(node.follow())
    try:
        yield runtime
    finally:
        runtime.close()
        await follower


async def test_containers_outlive_their_keeper(node: Node) -> None:
    await node.runtime.hold()
    mine = descriptors(os.getpid())
    before = {}
    count = "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); echo $i; done; read go; exit 5"
    before["count"] = await node.start("count", "sh", "-c", count, stdin=True)
    before["idle"] = await node.start("idle", "sleep", "1000")
    before["killed"] = await node.start("killed", "sleep", "1000")
    script = "read go; echo last; exit 4"
    before["brief"] = await node.start("brief", "sh", "-c", script, stdin=True)
    brief = await node.runtime.attach_to("brief", stdin=True)
    spec = default_spec(("sh", "-c", "while read line; do echo got $line; done"))
    process = msgspec.structs.replace(spec.process, terminal=True)
    spec = msgspec.structs.replace(spec, process=process)
    before["terminal"] = await node.start("terminal", spec=spec)
    await node.start("ended", "sh", "-c", "exit 9")
    await node.future("ended")
    session = await node.runtime.session("idle", ["sleep", "999"])
    lost, spaces = node.runtime, [os.fstat(fd).st_ino for fd in node.runtime.namespaces]
    node.ended.clear()

    await kill_keeper(node)
    with pytest.raises(KeeperLost):
        await session.wait()
    # It ends while it has no keeper at all, and its last word waits in its pipe.
    await brief.write(b"go\n")
    await until(lambda: not pid_alive(before["brief"].pid, start_time_of(before["brief"].pid)))
    async with another(node, after=lost) as runtime:
        assert runtime.beginning.origin is Origin.ADOPTED
        assert "executed for a client" in runtime.beginning.text
        assert [os.fstat(fd).st_ino for fd in runtime.namespaces] == spaces
        assert os.statvfs(f"/proc/{runtime.keeper_pid}/exe").f_flag & os.ST_RDONLY
        found = {state.id: state for state in await runtime.containers()}
        assert set(found) == {*before, "ended"}
        for id in ("count", "idle", "killed", "terminal"):
            assert found[id] == before[id], id
        assert (await node.future("ended")).exit_code == 9
        assert (await node.future("brief")).exit_code == 4
        assert said(node.log("brief")) == "last\n"
        # The one that was executed is no more; with its session it would never end.
        await until(lambda: detect().procs(node.cgroup("idle")) == [before["idle"].pid])
        count_session = await runtime.attach_to("count", stdin=True)
        await count_session.write(b"go\n")
        assert (await node.future("count")).exit_code == 5
        assert said(node.log("count")).split() == [str(n) for n in range(1, 30001)]
        await runtime.signal("killed", signal.SIGKILL)
        assert (await node.future("killed")).signal == signal.SIGKILL
        terminal = await runtime.attach_to("terminal", stdin=True)
        await terminal.write(b"this\n")
        await until_said(terminal, b"got this")
        result = await runtime.exec("idle", ["readlink", "/proc/1/ns/net"], timeout_s=10)
        assert result.exit_code == 0
        await runtime.create_sandbox(SandboxConfig(id="new", hostname="h"))
        # And so on, for the next one that dies.
        node.ended.clear()
        await kill_keeper(node)
        async with another(node, after=runtime) as third:
            assert "nothing is lost" in third.beginning.text
            states = {state.id: state for state in await third.containers()}
            assert states["idle"] == before["idle"]
            assert states["killed"].exit_code == 137
            assert {sandbox.id for sandbox in await third.sandboxes()} == {"pod", "new"}
            for each in (brief, count_session, terminal, session):
                each.close()
            for id in ("count", "killed", "brief", "ended"):
                await third.remove(id)
            assert os.listdir(node.paths.exits) == []
            await third.shutdown()
    lost.close()
    await until(lambda: descriptors(os.getpid()) <= mine)


def start_time_of(pid: int) -> int:
    """0 when it is gone altogether."""
    try:
        return start_time(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0


async def test_what_was_only_starting_is_ended(node: Node) -> None:
    await node.runtime.hold()
    state = await node.start("c", "sleep", "1000")
    assert await node.runtime.prepare(ahead(node, "next"))
    lost = node.runtime
    await kill_keeper(node)
    async with another(node, after=lost) as runtime:
        assert "1 containers whose start was not over" in runtime.beginning.text
        (found,) = await runtime.containers()
        assert found.pid == state.pid
        await runtime.shutdown()


async def test_without_room_for_its_descriptors_a_container_is_lost(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.runtime.hold()
    await node.start("c", "sleep", "1000")
    keep = held.Held.keep
    monkeypatch.setattr(
        held.Held,
        "keep",
        lambda self, kind, id, facts, names, fds: keep(self, kind, id, facts, names, []),
    )
    await node.start("full", "sleep", "1000")
    monkeypatch.undo()
    lost = node.runtime
    await kill_keeper(node)
    async with another(node, after=lost) as runtime:
        assert [state.id for state in await runtime.containers()] == ["c"]
        assert "1 containers" in runtime.beginning.text
        await runtime.shutdown()


async def test_with_nobody_who_holds_them_containers_are_ended_and_exits_known(node: Node) -> None:
    state = await node.start("c", "sleep", "1000")
    await node.start("ended", "sh", "-c", "exit 9")
    await node.future("ended")
    node.ended.clear()
    started = start_time(state.pid)
    await kill_keeper(node)
    (node.paths.exits / "half").write_bytes(b"\x00")
    async with another(node, after=None) as runtime:
        assert runtime.beginning.origin is Origin.REPLACED
        assert not pid_alive(state.pid, started)
        (found,) = await runtime.containers()
        assert (found.id, found.exit_code) == ("ended", 9)
        assert (await node.future("ended")) == found
        await runtime.remove("ended")
        assert list(node.paths.exits.iterdir()) == []
        await runtime.shutdown()


async def test_a_keeper_that_dies_of_what_it_adopts_is_not_tried_for_ever(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.runtime.hold()
    await node.start("c", "sleep", "1000")
    lost = node.runtime
    await kill_keeper(node)
    adopt = "process = fds.pop("
    death = f"os._exit(3)\n        {adopt}"
    use(monkeypatch, copied(tmp_path, "runtime/keeper/container.py", adopt, death))
    for _ in range(3):
        with pytest.raises(KeeperLost):
            await Runtime.launch(node.paths, "n", lost)
    async with another(node, after=lost) as runtime:
        assert runtime.beginning.origin is Origin.REPLACED
        assert "3 others after it" in runtime.beginning.text
        assert await runtime.containers() == []
        await runtime.shutdown()


def test_an_exit_that_cannot_be_written_stops_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    exits = Exits(str(tmp_path / "exits"))
    (tmp_path / "exits" / "c").mkdir()
    exits.record({"id": "c", "trace": []})
    assert "the exit of container c is not on disk: " in capfd.readouterr().err
