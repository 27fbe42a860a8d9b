"""The dashboard as a process on a terminal, and its picture without one."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest

from engine.home import ClusterPaths
from engine.launch import running
from tests.real.cluster.conftest import BIN, Shell
from tests.real.cluster.machine import contained, traces

pytestmark = pytest.mark.xdist_group("dashboard")

PATIENCE_S = 60.0


class Terminal:
    """A process on a terminal of 100x30; what it has written, without escape sequences."""

    def __init__(self, pid: int, master: int) -> None:
        self.pid = pid
        self._master = master
        self._said = ""

    def wait_for(self, words: str) -> None:
        """Read until the words were written."""
        deadline = time.monotonic() + PATIENCE_S
        while words not in self._said:
            left = deadline - time.monotonic()
            assert left > 0, f"no {words!r} in {self._said[-2000:]!r}"
            if select.select([self._master], [], [], left)[0]:
                self._said += _plain(os.read(self._master, 65536).decode(errors="replace"))

    def type(self, keys: str) -> None:
        self._said = ""
        os.write(self._master, keys.encode())

    def ended(self) -> int:
        """Its exit code, once what it says at the end is read."""
        while True:
            try:
                if not os.read(self._master, 65536):
                    break
            except OSError:  # EIO: the other end is closed
                break
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[=>()][A-Z0-9]?", "", text)


@contextmanager
def terminal(shell: Shell, *words: str) -> Iterator[Terminal]:
    pid, master = pty.fork()
    if pid == 0:
        ours = [] if "--kubeconfig" in words else ["--cluster", shell.paths.name]
        command = [str(BIN / "podarium"), *words, *ours]
        env = {**shell.env, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        os.execve(command[0], command, env)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    try:
        yield Terminal(pid, master)
    finally:
        os.close(master)


@pytest.fixture
def shell(home: Path) -> Iterator[Shell]:
    shell = Shell(ClusterPaths.of(home, "tui"))
    yield shell
    shell.podarium("down", "--purge")
    assert traces(shell.paths) == []


def test_a_killed_dashboard_loses_nothing_and_the_next_one_attaches(shell: Shell) -> None:
    with terminal(shell, "demo") as screen:
        screen.wait_for("deploy/web")
        engine = running(shell.paths)
        os.kill(screen.pid, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(screen.pid, 0)[1]) == -signal.SIGKILL
    assert running(shell.paths) == engine
    shell.kubectl("wait", "--for=condition=Available", "--timeout=60s", "deployment/web")
    pids = contained(shell.paths, "app.py")
    with terminal(shell) as screen:
        screen.wait_for("deploy/web")
        screen.type("q")
        screen.wait_for("Leave cluster tui?")
        screen.type("\r")
        assert screen.ended() == 0
    assert running(shell.paths) == engine
    assert contained(shell.paths, "app.py") == pids


def test_a_shell_in_a_pod_and_back(shell: Shell) -> None:
    shell.podarium("up", "--nodes", "1")
    shell.podarium("run", "-d", "--name", "sleeper", "podarium/host", "--", "sleep", "600")
    shell.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "pod/sleeper")
    with terminal(shell) as screen:
        screen.wait_for("node-1")
        screen.type(":pods\r")
        screen.wait_for("STATUS")
        screen.type("s")
        screen.wait_for("a shell in main of default/sleeper")
        screen.wait_for("# ")
        screen.type("stty size; echo $((6*7))\r")
        screen.wait_for("30 100\r\n42\r\n")
        screen.type("exit\r")
        screen.wait_for("sleeper")
        screen.wait_for("describe")
        screen.type("q")
        screen.wait_for("overview")
        screen.type("q")
        screen.wait_for("Leave cluster tui?")
        screen.type("\r")
        assert screen.ended() == 0


def test_any_cluster_by_its_kubeconfig(shell: Shell) -> None:
    shell.podarium("up", "--nodes", "1")
    engine = running(shell.paths)
    with terminal(shell, "--kubeconfig", str(shell.paths.kubeconfig)) as screen:
        screen.wait_for("node-1")
        screen.wait_for("● live")
        screen.type("q")
        assert screen.ended() == 0
    assert running(shell.paths) == engine
    with terminal(shell, "--kubeconfig", str(shell.paths.kubeconfig), "--context", "no") as screen:
        screen.wait_for("no context 'no'; known: ")
        assert screen.ended() == 2


def test_stopping_from_the_screen_leaves_nothing(shell: Shell) -> None:
    with terminal(shell, "--nodes", "1") as screen:
        screen.wait_for("node-1")
        screen.type("q")
        screen.wait_for("Leave cluster tui?")
        screen.type("\x1b[C\r")
        assert screen.ended() == 0
    assert traces(shell.paths) == []


def test_a_start_that_fails_is_told_on_screen_and_leaves_nothing(shell: Shell) -> None:
    with terminal(shell, "--node-cpu", "many") as screen:
        screen.wait_for("--node-cpu many")
        screen.type("q")
        assert screen.ended() == 1
    assert traces(shell.paths) == []


def test_the_picture_is_of_the_real_demo_and_leaves_nothing(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "pods.svg"
    words = ["demo", "--screenshot", str(file), "--view", "pods", "--seconds", "2"]
    shell.podarium(*words)
    text = " ".join(ElementTree.parse(file).getroot().itertext())
    for word in ("Unschedulable", "Completed", "Running", "giant"):
        assert word in text
    assert not shell.paths.state.exists()
    assert traces(shell.paths) == []


def test_a_picture_never_takes_a_cluster_that_is_there(shell: Shell, tmp_path: Path) -> None:
    shell.podarium("up", "--nodes", "1")
    file = tmp_path / "no.svg"
    assert "another --cluster" in shell.podarium("demo", "--screenshot", str(file), code=1)
    assert not file.exists()
    assert running(shell.paths)


def test_without_a_terminal_it_says_what_to_do(shell: Shell) -> None:
    command = [str(BIN / "podarium"), "--cluster", shell.paths.name]
    ran = subprocess.run(
        command, env=shell.env, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert ran.returncode == 2
    assert "needs a terminal" in ran.stderr
    assert not shell.paths.state.exists()
