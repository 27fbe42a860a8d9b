"""A container's life: how it ends, what it says, and who remembers."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from engine.linux.process import pid_alive, start_time
from engine.runtime.cgroup.api import Resources, detect
from engine.runtime.runtime import (
    KeeperLost,
    Runtime,
    RuntimeFailure,
    SandboxConfig,
    StartError,
    clean_dead_keeper,
)
from engine.runtime.spec import Mount, default_spec
from tests.real.runtime.conftest import Node, left_of, python_spec, said, until


async def test_an_exit_code(node: Node) -> None:
    started = await node.start("c", "sh", "-c", "exit 7")
    ended = await node.future("c")
    assert (ended.exit_code, ended.signal, ended.oom_killed) == (7, None, False)
    assert ended.labels == {"name": "c"}
    assert ended.pid == started.pid
    assert ended.finished_at is not None
    assert ended.finished_at >= ended.started_at
    assert started.running
    assert not ended.running


async def test_a_signal_and_a_kill(node: Node) -> None:
    await node.start("a", "sh", "-c", "trap 'exit 9' TERM; echo ready; sleep 1000 & wait")
    await until(lambda: "ready" in node.log("a").read_text())
    await node.runtime.signal("a", signal.SIGTERM)
    assert (await node.future("a")).exit_code == 9
    await node.start("b", "sh", "-c", "sleep 1000 & sleep 1000")
    await node.runtime.kill("b")
    ended = await node.future("b")
    assert (ended.exit_code, ended.signal, ended.oom_killed) == (137, signal.SIGKILL, False)
    # It has ended: a signal comes too late, which is no mistake.
    await node.runtime.signal("b", signal.SIGTERM)


async def test_out_of_memory(node: Node) -> None:
    hungry = python_spec("x = bytearray(1 << 26); print(len(x))")
    await node.start("c", spec=hungry, resources=Resources(memory_limit=16 << 20))
    ended = await node.future("c")
    assert (ended.exit_code, ended.signal) == (137, signal.SIGKILL)
    assert ended.oom_killed


async def test_the_log_has_the_cri_form(node: Node) -> None:
    script = "echo out; echo err >&2; head -c 20000 /dev/zero; echo; printf last"
    await node.run("c", "sh", "-c", script)
    lines = [line.split(b" ", 3) for line in node.log("c").read_bytes().splitlines()]
    told = [(stream, tag, text[:4]) for _, stream, tag, text in lines]
    # Two pipes: only within a stream is there an order.
    assert [one for one in told if one[0] == b"stderr"] == [(b"stderr", b"F", b"err")]
    assert [(tag, text) for stream, tag, text in told if stream == b"stdout"] == [
        (b"F", b"out"),
        (b"P", bytes(4)),
        (b"F", bytes(4)),
        (b"P", b"last"),
    ]
    assert sorted(len(text) for _, _, _, text in lines)[-2:] == [20000 - 16384, 16384]


async def test_exec(node: Node) -> None:
    await node.start("c", "sleep", "1000", resources=Resources(pids_limit=50))
    first = await node.runtime.exec(
        "c", ["sh", "-c", "echo out; echo err >&2; exit 3"], timeout_s=10
    )
    assert (first.exit_code, first.output, first.timed_out) == (3, b"out\nerr\n", False)
    status = await node.runtime.exec("c", ["cat", "/proc/self/status"], timeout_s=10)
    for fact in (b"NoNewPrivs:\t1", b"Seccomp:\t2", b"CapBnd:\t00000000a00425fb"):
        assert fact in status.output
    seen = await node.runtime.exec("c", ["cat", "/proc/self/cgroup", "/proc/1/comm"], timeout_s=10)
    assert b":pids:/\n" in seen.output or b"0::/\n" in seen.output
    assert seen.output.endswith(b"sleep\n")


async def test_an_exec_that_lasts_too_long_is_ended_with_its_children(node: Node) -> None:
    state = await node.start("c", "sleep", "1000")
    result = await node.runtime.exec("c", ["sh", "-c", "sleep 999 & sleep 998"], timeout_s=0.2)
    assert (result.exit_code, result.timed_out) == (137, True)
    await until(lambda: detect().procs(node.cgroup("c")) == [state.pid])


async def test_what_an_exec_says_beyond_the_limit_is_dropped(node: Node) -> None:
    await node.start("c", "sleep", "1000")
    result = await node.runtime.exec(
        "c", ["head", "-c", "1000000", "/dev/zero"], timeout_s=30, limit=1000
    )
    assert (result.exit_code, result.output) == (0, bytes(1000))


async def test_an_exec_that_is_given_up_is_ended(node: Node) -> None:
    state = await node.start("c", "sleep", "1000")
    task = asyncio.create_task(node.runtime.exec("c", ["sleep", "997"], timeout_s=1000))
    await until(lambda: len(detect().procs(node.cgroup("c"))) == 2)
    task.cancel()
    await until(lambda: detect().procs(node.cgroup("c")) == [state.pid])


async def test_exec_in_what_has_ended_or_never_was(node: Node) -> None:
    await node.run("c", "sh", "-c", "exit 0")
    with pytest.raises(OSError, match="not running"):
        await node.runtime.exec("c", ["id"], timeout_s=1)
    with pytest.raises(FileNotFoundError, match="no such container"):
        await node.runtime.exec("d", ["id"], timeout_s=1)


async def test_a_start_that_fails_names_the_step_and_leaves_nothing(node: Node) -> None:
    with pytest.raises(StartError, match=r"exec no-such: executable not found in PATH") as caught:
        await node.start("a", "no-such")
    assert (caught.value.step, caught.value.errno) == ("exec", errno.ENOENT)
    assert "in the image?" in caught.value.hint
    with pytest.raises(StartError, match=r"exec /etc: .*Permission denied"):
        await node.start("b", "/etc")
    spec = default_spec(("id",))
    mount = Mount(destination="/data", source="/no/such/place", options=("bind",))
    with pytest.raises(StartError, match=r"bind /no/such/place on /data: No such file") as caught:
        await node.start("c", spec=msgspec.structs.replace(spec, mounts=(*spec.mounts, mount)))
    assert caught.value.step == "bind"
    (node.layer / "bin" / "orphan").write_text("#!/no/interpreter\n")
    (node.layer / "bin" / "orphan").chmod(0o755)
    with pytest.raises(StartError, match="interpreter or dynamic loader"):
        await node.start("d", "orphan")
    config = node.config("e", default_spec(("id",)))
    with pytest.raises(StartError, match=r"log /etc/hosts/c.log: "):
        await node.runtime.start(replace(config, log_path=Path("/etc/hosts/c.log")))
    assert await node.runtime.containers() == []
    assert detect().children(node.paths.cgroup + b"/pod") == []
    # The same names can be used again.
    assert "uid=0" in await node.run("a", "id")


async def test_too_little_memory_to_start_in(node: Node) -> None:
    # Either it is killed, or what it has already is more than it may have.
    with pytest.raises(StartError, match=r"(its process ended \(137\)|busy).*memory limit"):
        await node.start("c", "id", resources=Resources(memory_limit=256 << 10))
    assert await node.runtime.containers() == []


async def test_the_trace_tells_every_step(node: Node) -> None:
    state = await node.start("c", "sleep", "1000")
    steps = [step for step, _, _ in state.trace]
    plan = [step.op for step in node.config("c", default_spec(("x",))).plan.describe()]
    assert steps == plan
    assert all(microseconds >= 0 for _, _, microseconds in state.trace)


async def test_a_container_lives_through_a_change_of_engine(node: Node) -> None:
    kept = await node.start("kept", "sleep", "1000")
    brief = await node.start("brief", "sh", "-c", "sleep 1000; exit 5")
    await until(lambda: len(detect().procs(node.cgroup("brief"))) == 2)
    (child,) = set(detect().procs(node.cgroup("brief"))) - {brief.pid}
    node.runtime.close()
    with pytest.raises(KeeperLost):
        await node.runtime.containers()
    assert not node.runtime.lost.is_set()
    # Between the engines one of them ends.
    os.kill(child, signal.SIGKILL)
    second = await Runtime.launch(node.paths, node="n")
    try:
        assert second.keeper_pid == node.runtime.keeper_pid
        ended = await anext(second.exits())
        assert (ended.id, ended.exit_code, ended.labels) == ("brief", 5, {"name": "brief"})
        states = {state.id: state for state in await second.containers()}
        assert states["kept"] == kept
        assert states["brief"].exit_code == 5
        assert [sandbox.id for sandbox in await second.sandboxes()] == ["pod"]
        assert (await second.exec("kept", ["id"], timeout_s=10)).exit_code == 0
        await second.remove("brief")
        assert [state.id for state in await second.containers()] == ["kept"]
    finally:
        second.close()


async def test_removal(node: Node) -> None:
    await node.start("c", "sleep", "1000")
    with pytest.raises(OSError, match="still running"):
        await node.runtime.remove("c")
    with pytest.raises(OSError, match="still has containers: c"):
        await node.runtime.remove_sandbox("pod")
    await node.runtime.kill("c")
    await node.future("c")
    await node.runtime.remove("c")
    await node.runtime.remove("c")
    assert await node.runtime.containers() == []
    assert not detect().exists(node.cgroup("c"))
    await node.runtime.remove_sandbox("pod")
    await node.runtime.remove_sandbox("pod")
    assert await node.runtime.sandboxes() == []
    assert not detect().exists(node.paths.cgroup + b"/pod")


async def test_ids_are_used_once(node: Node) -> None:
    await node.start("c", "sleep", "1000")
    with pytest.raises(FileExistsError, match="already a container"):
        await node.start("c", "sleep", "1000")
    with pytest.raises(FileExistsError, match="already a sandbox"):
        await node.runtime.create_sandbox(SandboxConfig(id="pod", hostname="x"))
    with pytest.raises(FileNotFoundError, match="no such sandbox"):
        await node.start("d", "sleep", "1000", sandbox="other")


async def test_many_at_once(node: Node) -> None:
    names = [f"c{number}" for number in range(12)]
    await asyncio.gather(*(node.start(name, "sh", "-c", f"echo {name}") for name in names))
    await asyncio.gather(*(node.future(name) for name in names))
    assert [said(node.log(name)) for name in names] == [f"{name}\n" for name in names]


async def test_a_keeper_that_dies_is_noticed_and_cleaned_up_after(node: Node) -> None:
    state = await node.start("c", "sleep", "1000")
    started = start_time(state.pid)
    keeper = node.runtime.keeper_pid
    os.kill(keeper, signal.SIGKILL)
    await node.runtime.lost.wait()
    with pytest.raises(RuntimeFailure):
        await node.runtime.containers()
    assert pid_alive(state.pid, started)
    assert left_of(node.paths) != []
    second = await Runtime.launch(node.paths, node="n")
    assert second.keeper_pid != keeper
    assert not pid_alive(state.pid, started)
    assert await second.containers() == []
    assert not detect().exists(node.cgroup("c"))
    second.close()


async def test_cleaning_ends_a_living_keeper_too(node: Node) -> None:
    state = await node.start("c", "sleep", "1000")
    started = start_time(state.pid)
    await asyncio.to_thread(clean_dead_keeper, node.paths)
    assert not pid_alive(state.pid, started)
    assert left_of(node.paths) == []
    await node.runtime.lost.wait()
    assert await Runtime.attach(node.paths) is None
    clean_dead_keeper(node.paths)
