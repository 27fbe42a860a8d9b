"""A container can neither see, nor signal, nor debug a process of the machine."""

from __future__ import annotations

import asyncio
import os

import msgspec

from engine.runtime.spec import Spec
from tests.security.conftest import Captive, Victim
from tests.security.inside import call, read, say, tried


def reach(pid: int) -> dict[str, str]:
    """Everything that takes a pid. None of it harms a process that it does reach."""
    import ctypes

    word = ctypes.create_string_buffer(8)
    vector = (ctypes.c_size_t * 2)(ctypes.addressof(word), 8)
    here = ctypes.addressof(vector)
    attach, detach = 16, 17

    def ptrace():
        call("ptrace", attach, pid, 0, 0)
        os.waitpid(pid, 0x40000000)
        call("ptrace", detach, pid, 0, 0)

    return {
        "proc": tried(os.stat, f"/proc/{pid}"),
        "environ": tried(read, f"/proc/{pid}/environ"),
        "root": tried(os.listdir, f"/proc/{pid}/root"),
        "cwd": tried(os.listdir, f"/proc/{pid}/cwd"),
        "fd": tried(os.listdir, f"/proc/{pid}/fd"),
        "namespace": tried(os.open, f"/proc/{pid}/ns/mnt", os.O_RDONLY),
        "memory": tried(open, f"/proc/{pid}/mem", "rb"),
        "signal": tried(os.kill, pid, 0),
        "group": tried(os.getpgid, pid),
        "pidfd": tried(os.pidfd_open, pid),
        "ptrace": tried(ptrace),
        "read": tried(call, "process_vm_readv", pid, here, 1, here, 1, 0),
        "limits": tried(call, "prlimit64", pid, 7, 0, here),
        "priority": tried(os.getpriority, os.PRIO_PROCESS, pid),
        "scheduler": tried(os.sched_getscheduler, pid),
        "cpus": tried(os.sched_getaffinity, pid),
    }


UNSEEN = {
    **dict.fromkeys(("proc", "environ", "root", "cwd", "fd", "namespace", "memory"), "ENOENT"),
    **dict.fromkeys(("signal", "group", "pidfd", "ptrace", "read"), "ESRCH"),
    **dict.fromkeys(("limits", "priority", "scheduler", "cpus"), "ESRCH"),
}


async def test_processes_of_the_machine_are_not_there(captive: Captive, victim: Victim) -> None:
    assert await captive.run(reach, victim.pid) == UNSEEN
    assert await captive.run(reach, captive.node.runtime.keeper_pid, id="d") == UNSEEN


def shared_pids(spec: Spec) -> Spec:
    kinds = tuple(n for n in spec.linux.namespaces if n.type != "pid")
    return msgspec.structs.replace(
        spec, linux=msgspec.structs.replace(spec.linux, namespaces=kinds)
    )


async def test_they_would_be_without_a_pid_namespace(captive: Captive, victim: Victim) -> None:
    found = await captive.run(reach, victim.pid, change=shared_pids)
    assert {what for what, how in found.items() if how == "DONE"} >= {"proc", "signal", "pidfd"}


def shoot_everyone() -> str:
    return tried(os.kill, -1, 9)


async def test_a_signal_to_everyone_ends_at_the_container(captive: Captive, victim: Victim) -> None:
    """Nor is anybody of the pod's other containers hit."""
    await captive.begin(stay, id="neighbour")
    await captive.says("here", "neighbour")
    assert await captive.run(shoot_everyone) == "ESRCH"
    assert not captive.node.future("neighbour").done()
    await captive.node.runtime.containers()


def stay() -> None:
    import signal

    say("here")
    signal.pause()


def meet(visits: int) -> dict[str, list[str]]:
    """Go for everyone who comes in, until all have become what they came for."""

    def ways(pid):
        return {
            "exe": lambda: os.open(f"/proc/{pid}/exe", os.O_RDONLY),
            "root": lambda: os.open(f"/proc/{pid}/root", os.O_RDONLY),
            "cwd": lambda: os.open(f"/proc/{pid}/cwd", os.O_RDONLY),
            "output": lambda: os.open(f"/proc/{pid}/fd/1", os.O_WRONLY),
            "maps": lambda: os.listdir(f"/proc/{pid}/map_files"),
            "memory": lambda: os.open(f"/proc/{pid}/mem", os.O_RDWR),
            "environ": lambda: os.open(f"/proc/{pid}/environ", os.O_RDONLY),
            "namespace": lambda: os.readlink(f"/proc/{pid}/ns/mnt"),
            "descriptor": lambda: call("pidfd_getfd", os.pidfd_open(int(pid)), 1, 0),
        }

    def is_keeper(pid):
        try:
            return read(f"/proc/{pid}/comm").startswith(b"keeper")
        except OSError:
            return False

    met, found = set(), {}
    say("waiting")
    while len(met) < visits or any(map(is_keeper, met)):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            for what, way in ways(pid).items():
                if is_keeper(pid):
                    met.add(pid)
                    outcome = tried(way)
                    # Else it was its own program already, which is ours to look into.
                    if is_keeper(pid):
                        found.setdefault(what, set()).add(outcome)
    return {what: sorted(outcomes) for what, outcomes in found.items()}


async def visit_for_ever(captive: Captive) -> None:
    while True:
        await captive.node.runtime.exec("c", ["sleep", "0"], timeout_s=60)


async def test_whoever_comes_in_cannot_be_looked_into(captive: Captive) -> None:
    """Until it executes its program an exec is a copy of the keeper, with the container's user and
    capabilities at last. The image says where to look for programs: long enough to be met."""
    path = ":".join(["/nowhere"] * 3_000 + ["/bin"])
    await captive.begin(meet, 3, environment={"PATH": path})
    await captive.says("waiting")
    # A visit may pass between two looks: there are visits until enough were met.
    visiting = asyncio.create_task(visit_for_ever(captive))
    places = ("exe", "root", "cwd", "output", "maps", "memory", "environ", "namespace")
    refused = {place: ["EACCES"] for place in places}
    try:
        assert await captive.outcome() == {**refused, "descriptor": ["EPERM"]}
    finally:
        visiting.cancel()
        await asyncio.gather(visiting, return_exceptions=True)
