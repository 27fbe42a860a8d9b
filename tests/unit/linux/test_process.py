"""Processes told apart, whatever they call themselves."""

import os
import subprocess
import sys

import pytest

from engine.linux import process

# Its name is made to look like the rest of a stat line.
NAMED = """
import sys
sys.path.insert(0, {path!r})
from engine.linux import process
process.set_name(b") Z 1 (x) 9 9")
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def child() -> subprocess.Popen[bytes]:
    code = NAMED.format(path=os.getcwd())
    command = [sys.executable, "-I", "-S", "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"ready\n"
        yield child
        child.stdin.close()


def test_a_process_is_known_by_pid_and_start(child: subprocess.Popen[bytes]) -> None:
    started = process.start_time(child.pid)
    assert started > 0
    assert process.pid_alive(child.pid, started)
    assert not process.pid_alive(child.pid, started + 1)


def test_a_zombie_is_not_alive(child: subprocess.Popen[bytes]) -> None:
    started = process.start_time(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not process.pid_alive(child.pid, started)
    child.wait()
    assert not process.pid_alive(child.pid, started)
    with pytest.raises(FileNotFoundError):
        process.start_time(child.pid)


def test_failure_names_the_option() -> None:
    with pytest.raises(OSError, match="SET_PDEATHSIG"):
        process.set_pdeathsig(1000)
