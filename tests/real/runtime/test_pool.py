"""Starts that were begun ahead: what waits, what it holds, and that nothing depends on it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import msgspec
import pytest

from engine.runtime.cgroup.api import detect
from engine.runtime.plan import Preparation, prepare
from engine.runtime.runtime import ContainerState, Runtime, SandboxConfig, StartError
from engine.runtime.spec import Mount, Spec, default_spec
from tests.real.runtime.conftest import Node, said, until

MOST = 8
TELLING = (
    "Cap",
    "SigB",
    "SigI",
    "SigC",
    "Seccomp",
    "NoNew",
    "NSpid",
    "Uid",
    "Gid",
    "Groups",
    "Umask",
)
SHOW = "cat /proc/self/mountinfo; cat /proc/self/status; ls /dev /proc/acpi /sys/firmware"


def ahead(node: Node, id: str, sandbox: str = "pod", spec: Spec | None = None) -> Preparation:
    return prepare(
        spec or default_spec(),
        container_id=id,
        sandbox=sandbox,
        cgroup=node.cgroup(id),
        hierarchy=detect(),
    )


def steps(state: ContainerState) -> list[str]:
    return [step for step, _, _ in state.trace]


def children(pid: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def waiting(node: Node, id: str) -> int:
    """Prepare one; its pid."""
    before = children(node.runtime.keeper_pid)
    assert await node.runtime.prepare(ahead(node, id))
    (pid,) = set(children(node.runtime.keeper_pid)) - set(before)
    return pid


async def test_a_prepared_process_becomes_the_container(node: Node) -> None:
    pid = await waiting(node, "c")
    state = await node.start("c", "sleep", "100")
    assert state.pid == pid
    assert "hand-over" in steps(state)
    assert "clone" not in steps(state)
    assert not {"stage", "mount", "join-cgroup"} & set(steps(state))
    assert steps(state)[-1] == "exec"
    assert Path(f"/proc/{pid}/comm").read_text() == "sleep\n"


async def test_it_is_the_same_container(node: Node) -> None:
    """Mounts, credentials, devices, masks, descriptors, all but ids and times."""

    def telling(text: str) -> list[str]:
        found = []
        for line in text.splitlines():
            words = line.split()
            if " - " in line:
                dash = words.index("-")
                source = words[dash + 2 :] if words[dash + 1] != "overlay" else []
                found.append(" ".join([*words[3:6], words[dash + 1], *source]))
            elif "\t" not in line or line.startswith(TELLING):
                found.append(line)
        return sorted(found)

    cold = await node.run("cold", "sh", "-c", SHOW)
    await waiting(node, "warm")
    warm = await node.run("warm", "sh", "-c", SHOW)
    assert telling(cold.replace("cold", "warm")) == telling(warm)
    assert len(telling(warm)) > 40


async def test_its_namespaces(node: Node) -> None:
    await node.start("cold", "sleep", "100")
    pid = await waiting(node, "warm")
    warm = await node.start("warm", "sleep", "100")
    (cold,) = [s for s in await node.runtime.containers() if s.id == "cold"]

    def namespace(pid: int, kind: str) -> str:
        return os.readlink(f"/proc/{pid}/ns/{kind}")

    for kind in ("net", "ipc", "uts"):
        assert (
            namespace(warm.pid, kind) == namespace(cold.pid, kind) != namespace(os.getpid(), kind)
        )
    for kind in ("pid", "mnt", "cgroup"):
        kinds = {namespace(p, kind) for p in (warm.pid, cold.pid, os.getpid())}
        assert len(kinds) == 3
    assert pid in detect().procs(node.cgroup("warm"))
    cgroups = Path(f"/proc/{warm.pid}/cgroup").read_text()
    lines = [line for line in cgroups.splitlines() if line.endswith("/pod/warm")]
    others = Path(f"/proc/{cold.pid}/cgroup").read_text().count("/pod/cold")
    assert len(lines) == others > 0


async def test_what_waits_holds_nothing_of_others(node: Node) -> None:
    await node.start("other", "sleep", "100")
    pid = await waiting(node, "c")
    held = {int(fd): os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    kinds = sorted(link.split(":")[0] for fd, link in held.items() if fd > 2)
    # The directory that it works in, and its socket to the keeper.
    assert kinds == ["/proc/driver", "socket"]
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    listed = Path(f"/proc/{pid}/fd")
    await node.start("c", "sleep", "100")
    assert sorted(os.listdir(listed)) == ["0", "1", "2"]


async def test_a_plan_that_begins_otherwise_starts_without(node: Node) -> None:
    pid = await waiting(node, "c")
    spec = default_spec(("sh", "-c", "cat /proc/self/mountinfo"))
    small = Mount(destination="/dev/shm", type="tmpfs", source="shm", options=("size=4k",))
    mounts = tuple(small if m.destination == "/dev/shm" else m for m in spec.mounts)
    state = await node.start("c", spec=msgspec.structs.replace(spec, mounts=mounts))
    assert "clone" in steps(state)
    assert "hand-over" not in steps(state)
    assert state.pid != pid
    assert not Path(f"/proc/{pid}").exists()
    await node.future("c")
    assert "size=4k" in said(node.log("c"))


async def test_a_prepared_process_that_died_is_not_missed(node: Node) -> None:
    pid = await waiting(node, "c")
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not Path(f"/proc/{pid}").exists())
    state = await node.start("c", "sleep", "100")
    assert "clone" in steps(state)


async def test_one_that_died_makes_room(node: Node) -> None:
    pids = [await waiting(node, f"c{number}") for number in range(MOST)]
    assert not await node.runtime.prepare(ahead(node, "late"))
    os.kill(pids[0], signal.SIGKILL)
    await until(lambda: len(children(node.runtime.keeper_pid)) == MOST - 1)
    assert await node.runtime.prepare(ahead(node, "late"))
    assert not detect().exists(node.cgroup("c0"))


async def test_a_burst_beyond_what_waits(node: Node) -> None:
    ids = [f"c{number}" for number in range(2 * MOST)]
    async with asyncio.TaskGroup() as group:
        for id in ids:
            group.create_task(node.runtime.create_sandbox(SandboxConfig(id=id, hostname=id)))
    asked = await asyncio.gather(*(node.runtime.prepare(ahead(node, id, id)) for id in ids))
    assert sum(asked) == MOST
    states = [await node.start(id, "readlink", "/proc/self/ns/net", sandbox=id) for id in ids]
    handed = ["hand-over" in steps(state) for state in states]
    assert handed == asked
    for id in ids:
        ended = await node.future(id)
        assert ended.exit_code == 0
    assert len({said(node.log(id)) for id in ids}) == len(ids)


async def test_a_start_that_comes_at_once_does_not_wait(node: Node) -> None:
    """The request follows the announcement before the process can be ready."""
    asked = asyncio.create_task(node.runtime.prepare(ahead(node, "c")))
    state = await asyncio.shield(asyncio.create_task(node.start("c", "sleep", "100")))
    assert await asked
    assert "hand-over" in steps(state)


async def test_a_failure_is_told_as_ever(node: Node) -> None:
    """Of an operation ahead, and of one after."""
    bad = Mount(destination="/proc", type="proc", source="proc", options=("nonsense=1",))
    spec = default_spec(("id",))
    spec = msgspec.structs.replace(spec, mounts=(bad, *spec.mounts[1:]))
    failures = []
    for prepared in (False, True):
        if prepared:
            assert await node.runtime.prepare(ahead(node, "c", spec=spec))
        with pytest.raises(StartError) as caught:
            await node.start("c", spec=spec)
        failures.append(str(caught.value))
        assert not detect().exists(node.cgroup("c"))
    assert failures[0] == failures[1]
    assert "nonsense" in failures[0]
    await waiting(node, "d")
    with pytest.raises(StartError, match="no-such"):
        await node.start("d", "no-such")
    assert children(node.runtime.keeper_pid) == []


async def test_its_end_without_a_start(node: Node) -> None:
    keeper = node.runtime.keeper_pid
    await waiting(node, "c")
    await node.runtime.unprepare("c")
    assert children(keeper) == []
    assert not detect().exists(node.cgroup("c"))
    await node.runtime.unprepare("c")
    await node.runtime.create_sandbox(SandboxConfig(id="p2", hostname="h"))
    assert await node.runtime.prepare(ahead(node, "d", "p2"))
    await node.runtime.remove_sandbox("p2")
    assert children(keeper) == []
    assert not await node.runtime.prepare(ahead(node, "d", "p2"))


async def test_an_engine_that_comes_back(node: Node) -> None:
    """What its predecessor announced ends with it; what runs goes on; the rest works as before."""
    keeper = node.runtime.keeper_pid
    running = await node.start("c", "sleep", "100")
    engine = await Runtime.attach(node.paths)
    assert engine is not None
    assert await engine.prepare(ahead(node, "d"))
    engine.close()
    await until(lambda: children(keeper) == [running.pid])
    await waiting(node, "d")
    assert "hand-over" in steps(await node.start("d", "sleep", "100"))


async def test_shutdown_leaves_none(node: Node) -> None:
    """The fixture looks for what is left."""
    pids = [await waiting(node, f"c{number}") for number in range(3)]
    await node.runtime.shutdown()
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


async def test_a_volume_of_the_whole_machine_does_not_show_the_stage(node: Node) -> None:
    spec = default_spec(("sh", "-c", "ls /host/proc/driver; cat /proc/self/mountinfo"))
    volume = Mount(destination="/host", source="/", options=("rbind", "ro"))
    said = await node.run("c", spec=msgspec.structs.replace(spec, mounts=(*spec.mounts, volume)))
    assert " /host/proc " in said
    assert " /host/proc/driver " not in said
