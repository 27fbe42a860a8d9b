"""Whatever way an ordinary user's cluster ends, nothing of it is left but what is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.runtime.rootless.enter import read
from tests.real.rootless.people import Person, person
from tests.real.rootless.test_cluster import apply, pod, until

pytestmark = pytest.mark.xdist_group("rootless-ends")


@pytest.fixture
def owner() -> Iterator[Person]:
    """A cluster in which a process of another user than its owner runs."""
    uid = 59_000 + os.getpid() % 1000
    with person(uid, f"pdm{uid}", subordinate=True) as owner:
        owner.podarium("up", "--nodes", "1")
        asked = "securityContext: {runAsUser: 1000}"
        apply(owner, pod("stays", "sleep", "1000", container=asked))
        until(owner, "stays", '"phase": "Running"')
        yield owner
        owner.podarium("down", "--purge")


def left(owner: Person) -> list[str]:
    """What there should be no trace of, on the machine and in its owner's home."""
    home = owner.paths.home
    mounts = Path(f"/proc/{owner.place}/mountinfo").read_text().splitlines()
    return [
        *owner.processes(),
        *(line for line in mounts if str(home) in line),
        *map(str, home.glob("run/*")),
        *map(str, home.glob("clusters/*/nodes")),
    ]


def test_down_leaves_what_is_kept_alone(owner: Person) -> None:
    assert len(owner.processes()) >= 4  # the anchor, the way out, the engine, a keeper
    owner.podarium("down")
    assert left(owner) == []
    assert owner.paths.database.exists()
    owner.podarium("up")
    until(owner, "stays", '"phase": "Running"')
    owner.podarium("down", "--purge")
    assert left(owner) == []
    assert not owner.paths.state.exists()


def kill(pids: list[int]) -> None:
    """SIGKILL, and wait until they are gone."""
    for pid in pids:
        held = os.pidfd_open(pid)
        signal.pidfd_send_signal(held, signal.SIGKILL)
        os.close(held)
    deadline = time.monotonic() + 30
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def alive(pid: int) -> bool:
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return told.stdout.strip()[:1] not in ("", "Z", "X")


def test_after_all_of_ours_were_killed_down_finds_what_is_left(owner: Person) -> None:
    ours = [p.split() for p in owner.processes()]
    contained = [pid for pid, name in ours if name == "sleep"]
    kill([int(pid) for pid, name in ours if name != "sleep"])
    assert [p.split()[0] for p in owner.processes()] == contained
    owner.podarium("down")
    assert left(owner) == []


def test_without_its_anchor_the_next_engine_makes_all_anew(owner: Person) -> None:
    anchor = read(owner.paths)
    assert anchor is not None
    engine = next(int(p.split()[0]) for p in owner.processes() if "python" in p)
    kill([anchor.pid, engine])
    owner.podarium("up")
    again = read(owner.paths)
    assert again is not None
    assert again.pid != anchor.pid
    assert again.alive
    until(owner, "stays", r'"ready": true,\s*"restartCount": 1')
    assert owner.podarium("exec", "stays", "--", "id", "-u") == "1000\n"
