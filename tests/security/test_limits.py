"""What a container can use up is its own: processes, memory, descriptors; and it cannot survive."""

from __future__ import annotations

import errno
import os

import pytest

from engine.linux.process import pid_alive, start_time
from engine.runtime.cgroup.api import Resources, detect
from engine.runtime.ops.cgroups import LimitCgroup
from tests.real.runtime.conftest import Node, until
from tests.security.conftest import Captive, Victim
from tests.security.inside import say, tried


def fork_on(most: int) -> list:
    """Until the kernel refuses; children stay."""
    import signal

    made, ready = 0, os.pipe()
    while made < most:
        try:
            pid = os.fork()
        except OSError as error:
            return [made, errno.errorcode[error.errno]]
        if pid == 0:
            signal.pause()
        made += 1
    os.close(ready[0])
    return [made, "DONE"]


async def test_forks_end_at_the_limit(captive: Captive) -> None:
    few = Resources(pids_limit=20)
    assert await captive.run(fork_on, 30, resources=few) == [19, "EAGAIN"]
    found = await captive.run(fork_on, 30, id="d", resources=few, without=(LimitCgroup,))
    assert found == [30, "DONE"]
    # A neighbour in the same pod is not short of anything meanwhile.
    assert await captive.run(fork_on, 30, id="e") == [30, "DONE"]


def grow() -> None:
    say("growing")
    held = []
    while True:
        held.append(bytearray(os.urandom(1)) * (8 << 20))


def fill(place: str) -> None:
    """Memory that no process holds: files of a tmpfs."""
    block = os.urandom(1 << 20)
    say("growing")
    with open(f"{place}/file", "wb") as file:
        for _ in range(60):
            file.write(block)


def stay() -> None:
    import signal

    say("here")
    signal.pause()


@pytest.mark.parametrize("how", ["heap", "tmpfs"])
async def test_who_eats_memory_dies_alone(captive: Captive, victim: Victim, how: str) -> None:
    await captive.begin(stay, id="neighbour")
    await captive.says("here", "neighbour")
    limits = Resources(memory_limit=48 << 20, pids_limit=100)
    attack, args = (grow, ()) if how == "heap" else (fill, ("/dev/shm",))
    await captive.begin(attack, *args, resources=limits)
    state = await captive.ended()
    assert state.oom_killed
    assert state.exit_code == 137
    assert not captive.node.future("neighbour").done()
    await captive.node.runtime.containers()


async def test_files_in_memory_would_grow_without_the_limit(captive: Captive) -> None:
    limits = Resources(memory_limit=48 << 20)
    without = (LimitCgroup,)
    assert await captive.run(fill, "/dev/shm", resources=limits, without=without) is None
    assert not (await captive.ended()).oom_killed


def dig_in(signals: list[int], depth: int) -> None:
    """Sessions of their own, orphans, deaf to every signal that can be ignored."""
    import signal

    for number in signals:
        signal.signal(number, signal.SIG_IGN)
    for _ in range(depth):
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
    say("dug in")
    signal.pause()


def living(node: Node) -> dict[int, int]:
    """pid -> start time of all that is in the cgroup of container "c"."""
    return {pid: start_time(pid) for pid in detect().procs(node.cgroup("c"))}


@pytest.mark.parametrize("frozen", [False, True])
async def test_no_process_outlives_its_container(captive: Captive, frozen: bool) -> None:
    node, hierarchy = captive.node, detect()
    deaf = [n for n in range(1, 65) if n not in (9, 19, 32, 33)]
    await captive.begin(dig_in, deaf, 3)
    await until(lambda: node.log("c").read_text().count("dug in") >= 8)
    inside = living(node)
    assert len(inside) >= 8
    await node.runtime.signal("c", 15)
    if frozen:
        hierarchy.freeze(node.cgroup("c"), True)
        await until(lambda: hierarchy.is_frozen(node.cgroup("c")))
    assert living(node) == inside
    await node.runtime.kill("c")
    assert (await captive.ended()).signal == 9
    assert [pid for pid, started in inside.items() if pid_alive(pid, started)] == []
    await node.runtime.remove("c")


async def test_nor_does_what_an_exec_leaves_behind(captive: Captive) -> None:
    node = captive.node
    await captive.begin(stay)
    await captive.says("here")
    # In the background, in a session of its own: the exec has ended, what it began has not.
    script = "(trap '' TERM HUP; sleep 1000 & sleep 1000) >/dev/null 2>&1 &"
    result = await node.runtime.exec("c", ["sh", "-c", script], timeout_s=60)
    assert result.exit_code == 0
    await until(lambda: len(living(node)) >= 3)
    inside = living(node)
    await node.runtime.kill("c")
    await captive.ended()
    assert [pid for pid, started in inside.items() if pid_alive(pid, started)] == []


def use_up_descriptors() -> None:
    import signal

    held = []
    while tried(lambda: held.extend(os.pipe())) == "DONE":
        pass
    say(f"used up {len(held) > 100}")
    signal.pause()


async def test_descriptors_are_used_up_for_oneself_alone(captive: Captive) -> None:
    """Not for the keeper, which starts the next container and the next exec."""
    await captive.begin(use_up_descriptors)
    await captive.says("used up True")
    await captive.node.start("d", "sleep", "1000")
    ran = await captive.node.runtime.exec("d", ["id"], timeout_s=60)
    assert ran.output.startswith(b"uid=0")
