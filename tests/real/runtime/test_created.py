"""Starts of which only the exec was missing: that they are what a start is, and leave nothing."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from pathlib import Path

import msgspec
import pytest

from engine.runtime.cgroup.api import detect
from engine.runtime.runtime import ContainerConfig, ContainerState, Runtime, StartError
from engine.runtime.spec import Process, Spec, User, default_spec
from tests.real.runtime.conftest import Node, said, until
from tests.real.runtime.test_pool import ahead, children, steps, waiting

SHOW = """
cat /proc/self/mountinfo /proc/self/limits /proc/self/cgroup; cat /proc/self/status
ls -l /dev /proc/self/fd; readlink /proc/self/cwd; umask; env
"""
SAME = ("Cap", "SigB", "SigI", "SigC", "Seccomp", "NoNew", "NSpid", "Uid", "Gid", "Groups", "Umask")
SMALL_KB = 64


def spec(*args: str, **process: object) -> Spec:
    made = default_spec(args)
    return msgspec.structs.replace(made, process=msgspec.structs.replace(made.process, **process))


def status(pid: int) -> dict[str, str]:
    """proc_pid_status(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


async def created(node: Node, config: ContainerConfig) -> int:
    """Have it created; its pid."""
    before = children(node.runtime.keeper_pid)
    assert await node.runtime.create(config)
    (pid,) = set(children(node.runtime.keeper_pid)) - set(before)
    return pid


async def run(node: Node, config: ContainerConfig) -> tuple[ContainerState, str]:
    state = await node.runtime.start(config)
    await node.future(config.id)
    return state, said(node.log(config.id))


def telling(text: str) -> list[str]:
    """What must be alike, whatever the ids and the times."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if " - " in line:
            dash = words.index("-")
            source = words[dash + 2 :] if words[dash + 1] != "overlay" else []
            found.append(" ".join([*words[3:6], words[dash + 1], *source]))
        elif " -> " in line:
            found.append(" ".join([words[0], *words[-3:]]).split(":[")[0])
        elif line.startswith(("c", "d")):
            found.append(f"{words[0]} {words[2:6]} {words[-1]}")
        elif ":\t" not in line or line.startswith(SAME):
            found.append(line)
    return sorted(found)


@pytest.mark.parametrize(
    "process",
    [
        Process(),
        Process(user=User(uid=1000, gid=1000, additional_gids=(7,), umask=0o77)),
        Process(no_new_privileges=False, cwd="/tmp"),
        Process(terminal=True),
    ],
    ids=["root", "user", "privileges", "terminal"],
)
async def test_it_is_the_same_container(node: Node, process: Process) -> None:
    given = {name: getattr(process, name) for name in ("user", "cwd", "terminal")}
    asked = spec("sh", "-c", SHOW, no_new_privileges=process.no_new_privileges, **given)
    _, cold = await run(node, node.config("cold", asked))
    config = node.config("warm", asked)
    pid = await created(node, config)
    state, warm = await run(node, config)
    assert state.pid == pid
    assert steps(state) == ["hand-over", "exec"]
    assert telling(cold.replace("cold", "warm")) == telling(warm)
    assert len(telling(warm)) > 60


async def test_what_waits(node: Node) -> None:
    """It is small, holds nothing, is of its cgroup, and is not yet a container."""
    config = node.config("c", spec("sleep", "100"))
    await node.start("other", "sleep", "100")
    pid = await created(node, config)
    # It says that it is ready, and then lets go of its memory.
    await until(lambda: int(status(pid)["VmRSS"].split()[0]) <= SMALL_KB)
    assert status(pid)["Seccomp"] == "2"
    assert sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2", "3"]
    assert pid in detect().procs(node.cgroup("c"))
    assert [state.id for state in await node.runtime.containers()] == ["other"]
    assert not node.log("c").exists()
    # Nothing of it can be written, or read, by whoever shares its namespaces.
    maps = Path(f"/proc/{pid}/maps").read_text()
    assert "libpython" not in maps
    assert "rwx" not in maps
    await node.runtime.start(config)
    assert sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2"]


async def test_what_was_announced_goes_on(node: Node) -> None:
    pid = await waiting(node, "c")
    config = node.config("c", spec("sleep", "100"))
    assert await node.runtime.create(config)
    assert (await node.runtime.start(config)).pid == pid


async def test_input_and_terminal(node: Node) -> None:
    config = node.config("c", spec("sh", "-c", "read word; echo got $word"), stdin=True)
    await created(node, config)
    await node.runtime.start(config)
    session = await node.runtime.attach_to("c", stdin=True, once=True)
    await session.write(b"this\n")
    session.end_input()
    await node.future("c")
    session.close()
    assert said(node.log("c")) == "got this\n"
    config = node.config("t", spec("stty", "-a", terminal=True))
    await created(node, config)
    _, text = await run(node, config)
    assert "speed" in text


async def test_its_end_without_a_start(node: Node) -> None:
    """Dropped, its sandbox removed, its engine gone; and its layers can be used again."""
    keeper, config = node.runtime.keeper_pid, node.config("c", spec("id", "-u"))
    await created(node, config)
    await node.runtime.unprepare("c")
    assert children(keeper) == []
    assert not detect().exists(node.cgroup("c"))
    engine = await Runtime.attach(node.paths)
    assert engine is not None
    assert await engine.create(config)
    engine.close()
    await until(lambda: children(keeper) == [])
    await created(node, config)
    await node.runtime.remove_sandbox("pod")
    assert children(keeper) == []
    assert not await node.runtime.create(config)
    assert not node.log("c").exists()


async def test_shutdown_leaves_none(node: Node) -> None:
    """The fixture looks for what is left."""
    pids = [await created(node, node.config(id, spec("id"))) for id in ("c", "d")]
    await node.runtime.shutdown()
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


async def test_another_plan_starts_without(node: Node) -> None:
    pid = await created(node, node.config("c", spec("id")))
    folders = node.home / "c" / "c"
    for name in ("upper", "work"):
        os.rename(folders / name, folders / f"old-{name}")
    state, text = await run(node, node.config("c", spec("sh", "-c", "echo two")))
    assert text == "two\n"
    assert "clone" in steps(state)
    assert not Path(f"/proc/{pid}").exists()


async def test_one_that_died_starts_without(node: Node) -> None:
    config = node.config("c", spec("id", "-u"))
    pid = await created(node, config)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not Path(f"/proc/{pid}").exists())
    state, text = await run(node, config)
    assert text == "0\n"
    assert "clone" in steps(state)


@pytest.mark.parametrize("whole", [False, True], ids=["announced", "created"])
async def test_one_that_dies_when_it_is_to_start(node: Node, whole: bool) -> None:
    """Killed after it was handed the rest, or the word to go on, and before its exec."""
    config = node.config("c", spec("id", "-u"))
    pid = await created(node, config) if whole else await waiting(node, "c")
    os.kill(pid, signal.SIGSTOP)
    await until(lambda: status(pid)["State"].startswith("T"))
    starting = asyncio.create_task(run(node, config))
    # A request that comes later is answered later: so the keeper has begun the start.
    await asyncio.sleep(0)
    await node.runtime.sandboxes()
    os.kill(pid, signal.SIGKILL)
    state, text = await starting
    assert text == "0\n"
    assert steps(state)[0] == "create-cgroup"
    assert state.pid != pid
    await node.runtime.remove("c")
    assert not detect().exists(node.cgroup("c"))


async def test_a_failure_is_told_as_ever(node: Node) -> None:
    """Of a program that is not there, one that is none, and more words than there is room for."""
    assert not await node.runtime.create(node.config("c", spec("no-such")))
    assert children(node.runtime.keeper_pid) == []
    assert not detect().exists(node.cgroup("c"))
    with pytest.raises(StartError, match="not found in PATH") as caught:
        await node.start("c", "no-such")
    assert caught.value.step == "exec"
    broken = node.layer / "bin" / f"broken-{os.getpid()}"
    broken.write_bytes(b"\x7fELF nothing")
    broken.chmod(0o755)
    config = node.config("d", spec(f"/bin/{broken.name}"))
    await created(node, config)
    with pytest.raises(StartError) as caught:
        await node.runtime.start(config)
    assert caught.value.errno == errno.ENOEXEC
    assert not detect().exists(node.cgroup("d"))
    many = spec("sh", "-c", "echo ${#LONG}", env=("PATH=/bin", "LONG=" + "x" * 100_000))
    more = spec("sh", "-c", "echo $2", "sh", "x" * 100_000, "word", env=many.process.env)
    for number, asked in enumerate((many, more)):
        config = node.config(f"e{number}", asked)
        assert await node.runtime.create(config) == (asked is many)
        _, text = await run(node, config)
        assert text == ("100000\n" if asked is many else "word\n")


async def test_a_log_that_cannot_be_opened(node: Node) -> None:
    config = node.config("c", spec("id"))
    await created(node, config)
    node.log("c").mkdir(parents=True)
    with pytest.raises(StartError) as caught:
        await node.runtime.start(config)
    assert caught.value.step == "log"
    assert children(node.runtime.keeper_pid) == []
    assert not detect().exists(node.cgroup("c"))


async def test_many_wait(node: Node) -> None:
    """They take nothing from those that are announced."""
    configs = [node.config(f"c{number}", spec("sleep", "100")) for number in range(12)]
    assert all([await node.runtime.create(config) for config in configs])
    assert await node.runtime.prepare(ahead(node, "late"))
    states = await asyncio.gather(*map(node.runtime.start, configs))
    assert {tuple(steps(state)) for state in states} == {("hand-over", "exec")}
