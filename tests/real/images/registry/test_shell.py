"""pull, push, tag and rmi as they are typed: words, exit codes, bars on a terminal."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.images.layouts import Layout
from tests.real.images.registry.server import Cable, Server, docker_registry
from tests.real.images.registry.test_docker_registry import LARGE, SMALL, digest_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the image store belongs to root")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with docker_registry(tmp_path / "registry") as server:
        yield server


class Shell:
    """Typed words and what they gave."""

    def __init__(self, home: Path) -> None:
        self.environment = {**os.environ, "PODARIUM_HOME": str(home), "HOME": str(home)}
        self.command = [sys.executable, "-m", "podarium"]

    def run(self, *words: str, code: int = 0) -> tuple[str, str]:
        done = subprocess.run(
            [*self.command, *words], capture_output=True, text=True, env=self.environment
        )
        assert done.returncode == code, done.stderr
        return done.stdout, done.stderr

    def on_a_terminal(self, *words: str) -> str:
        """What is drawn on stderr."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [*self.command, *words],
            stderr=theirs,
            stdout=subprocess.DEVNULL,
            env={**self.environment, "TERM": "xterm", "COLUMNS": "100"},
        )
        os.close(theirs)
        drawn = b""
        try:
            while data := os.read(ours, 65536):
                drawn += data
        except OSError:
            pass  # the terminal's other side is closed
        os.close(ours)
        assert process.wait() == 0
        return drawn.decode()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    layout = Layout(tmp_path / "layout")
    layout.image([SMALL, LARGE], name="app:1", packed=True)
    shell = Shell(tmp_path / "home")
    shell.run("load", "-i", str(layout.write()))
    return shell


def test_from_here_to_there_and_back(shell: Shell, server: Server) -> None:
    name = f"{server.host}/team/app:2"
    out, err = shell.run("push", "app:1", name)
    assert out.startswith(f"{name} ({digest_of(name)}): 8.39 MB in ")
    lines = err.splitlines()
    assert lines[0] == f"pushing {name} ({digest_of(name)})"
    assert sorted(line.split()[0] for line in lines[1:]) == ["config", "layer", "layer"]
    shell.run("rmi", "app:1")
    assert shell.run("pull", "-q", name) == (f"{digest_of(name)}\n", "")
    out, err = shell.run("pull", name)
    assert out.endswith("is up to date\n")
    assert err.count("already there") == 3
    shell.run("tag", name, "mine:1")
    assert shell.run("rmi", name)[0] == f"removed {name} (0 B freed)\n"
    assert "mine:1" in shell.run("images")[0]
    assert "8.39 MB freed" in shell.run("rmi", "mine:1")[0]


def test_bars_on_a_terminal(shell: Shell, server: Server) -> None:
    name = f"{server.host}/app:1"
    drawn = shell.on_a_terminal("push", "app:1", name)
    assert f"pushing {name}" in drawn
    assert "━" in drawn
    assert "8.4/8.4 MB" in drawn


def test_an_interrupt_ends_it_at_once(shell: Shell, server: Server) -> None:
    shell.run("push", "app:1", f"{server.host}/app:1")
    shell.run("rmi", "app:1")
    cable = Cable(server.host, limit=4 << 20)
    name = f"{cable.host}/app:1"
    command = [*shell.command, "pull", name]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=shell.environment
    ) as process:
        assert process.stderr is not None
        assert any("layer" in line for line in process.stderr)  # the small one; the other is stuck
        process.send_signal(signal.SIGINT)
        assert "interrupted; the next try goes on from here" in process.stderr.read()
        assert process.wait() == 130
    cable.mend()
    assert shell.run("pull", name)[0].startswith(f"{name} (sha256:")
    cable.close()


def test_failures_have_words_and_codes(shell: Shell, server: Server) -> None:
    name = f"{server.host}/none:1"
    out, err = shell.run("pull", name, code=1)
    assert out == ""
    assert err == f"podarium: registry {server.host}: has no image none:1" + (
        " (MANIFEST_UNKNOWN: manifest unknown)\n"
    )
    assert "Connection refused" in shell.run("pull", "127.0.0.1:1/x", code=1)[1]
    assert "OS/ARCHITECTURE" in shell.run("pull", "--platform", "a b", name, code=1)[1]
    assert "is not in the store" in shell.run("push", "gone:1", name, code=1)[1]
    assert "no registry has it" in shell.run("pull", "podarium/host", code=1)[1]
    out, err = shell.run("rmi", "gone:1", "app:1", code=1)
    assert out.startswith("removed app:1")
    assert "'gone:1' is not in the store" in err
    shell.run("pull", code=2)
