"""How a process ended, told of one that is not our child."""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from engine.linux.pidfd import pidfd_exit_status, pidfd_open, pidfd_send_signal
from engine.runtime.keeper.loop import Loop
from engine.runtime.keeper.process import Process

# Has a child, which ends by itself when it gets SIGUSR1, and reaps it when it is told to.
PARENT = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
pid = os.fork()
if pid == 0:
    signal.sigwait({signal.SIGUSR1})
    os._exit(37)
print(pid, flush=True)
sys.stdin.readline()
os.waitpid(pid, 0)
print("reaped", flush=True)
sys.stdin.readline()
"""


@dataclass
class Family:
    parent: subprocess.Popen[str]
    pid: int
    pidfd: int

    def end(self, signum: int) -> None:
        pidfd_send_signal(self.pidfd, signum)
        select.select([self.pidfd], [], [])

    def reap(self) -> None:
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        self.parent.stdin.write("\n")
        self.parent.stdin.flush()
        assert self.parent.stdout.readline() == "reaped\n"


@pytest.fixture
def family() -> Iterator[Family]:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        yield Family(parent, pid, pidfd_open(pid))
        parent.kill()


def told(family: Family) -> tuple[int | None, int | None]:
    loop, found = Loop(), []

    def ended(code: int | None, signum: int | None) -> None:
        found.append((code, signum))
        loop.running = False

    Process.adopted(loop, family.pid, os.dup(family.pidfd)).on_exit = ended
    loop.run()
    return found[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="another's exit code takes CAP_SYS_PTRACE")
@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGUSR1, 37), (signal.SIGKILL, 137), (signal.SIGTERM, 143)]
)
def test_reaped_or_not(family: Family, signum: int, code: int) -> None:
    try:
        pidfd_exit_status(family.pidfd)
    except OSError:
        pytest.skip("before Linux 6.15")
    how = (code, None if signum == signal.SIGUSR1 else signum)
    family.end(signum)
    assert told(family) == how
    family.reap()
    assert told(family) == how
    os.close(family.pidfd)


def test_where_no_kernel_tells_it_is_unknown(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    def older(_: int) -> None:
        raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))

    monkeypatch.setattr("engine.runtime.keeper.process.pidfd_exit_status", older)
    family.end(signal.SIGKILL)
    assert told(family)[1] == signal.SIGKILL
    family.reap()
    assert told(family) == (None, None)
    os.close(family.pidfd)
