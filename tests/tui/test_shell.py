"""A shell from the dashboard: the terminal is lent, and comes back."""

from __future__ import annotations

import copy
import fcntl
import os
import pty
import struct
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from engine.types.status import InternalError, NotFound
from tests.tui.fake_shell import FakeShell
from tests.tui.harness import Driver, key_event, running
from tests.tui.test_flows import goto


class Keyboard:
    """A terminal of 100x30 as standard input."""

    def __init__(self, master: int, slave: int) -> None:
        self.master, self.slave = master, slave

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    @property
    def raw(self) -> bool:
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keyboard]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    with open(slave, closefd=False) as file:
        monkeypatch.setattr("sys.stdin", file)
        yield Keyboard(master, slave)
        monkeypatch.undo()
    os.close(master)
    os.close(slave)


def lent(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes when the terminal is lent and given back, which a driver without one cannot do."""
    notes: list[str] = []

    @contextmanager
    def suspend() -> Iterator[None]:
        notes.append("lent")
        yield
        notes.append("back")

    monkeypatch.setattr(driver.app, "suspend", suspend)
    return notes


@pytest.mark.parametrize("key", ["s", "x"])
async def test_the_terminal_is_lent_and_comes_back(
    key: str, keyboard: Keyboard, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async with running() as driver:
        notes = lent(driver, monkeypatch)
        await goto(driver, "pods /x7k2p")
        before = driver.text()
        driver.app.post_message(key_event(key))
        await driver.until(lambda: keyboard.raw and bool(driver.fake.shell.sizes))
        assert notes == ["lent"]
        keyboard.type(b"echo \x1b[A\x03")
        await driver.until(lambda: driver.fake.shell.typed == b"echo \x1b[A\x03")
        keyboard.type(b"exit\r")
        await driver.until(lambda: len(notes) == 2)
        await driver.settle()
        assert not keyboard.raw
        assert driver.text() == before
        assert driver.fake.shell.sizes == [(100, 30)]
        method, path, _ = driver.fake.requests[-1]
        assert method == "SOCKET"
        assert "/namespaces/default/pods/web-" in path
        assert path.endswith("stdin=true&stdout=true&tty=true&container=web")
    assert "echo \x1b[A\x03exit" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("end", "wanted"),
    [
        (lambda shell: shell.ends(127), "the image has no shell: web of default/web-"),
        (
            lambda shell: shell.refuses(
                InternalError('exec: "sh": executable file not found in $PATH')
            ),
            "the image has no shell",
        ),
        (lambda shell: shell.refuses(NotFound("pods", "web")), 'pods "web" not found'),
        (lambda shell: shell.ends(137), "was ended: exit code 137"),
        (lambda shell: shell.breaks(), "the connection to web of default/web-"),
    ],
)
async def test_a_failure_is_told(
    end: Callable[[FakeShell], None],
    wanted: str,
    keyboard: Keyboard,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running() as driver:
        notes = lent(driver, monkeypatch)
        await goto(driver, "pods /x7k2p")
        end(driver.fake.shell)
        await driver.press("s")
        await driver.until(lambda: len(notes) == 2)
        await driver.settle()
        assert wanted in driver.text()
        assert not keyboard.raw


async def test_what_does_not_run_has_no_shell() -> None:
    async with running() as driver:
        await goto(driver, "pods /giant")
        await driver.press("s")
        assert "giant of default/giant does not run" in driver.text()
        assert driver.fake.requests[-1][0] != "SOCKET"


async def test_without_a_connection_nothing_is_lent() -> None:
    async with running() as driver:
        await goto(driver, "pods /x7k2p")
        driver.fake.reachable = False
        await driver.press("x")
        assert "connection refused" in driver.text()


async def test_any_command_can_be_run_and_what_it_said_be_read(
    keyboard: Keyboard, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async with running() as driver:
        notes = lent(driver, monkeypatch)
        await goto(driver, "pods /x7k2p")
        await driver.press("exclamation_mark")
        await driver.press(*["backspace"] * 20, "p", "s", "space", "minus", "e")
        driver.app.post_message(key_event("enter"))
        await driver.until(lambda: keyboard.raw)
        driver.fake.shell.ends(0)
        await driver.until(lambda: not keyboard.raw)
        assert notes == ["lent"]
        keyboard.type(b"\n")
        await driver.until(lambda: len(notes) == 2)
        await driver.settle()
        assert "command=ps&command=-e" in driver.fake.requests[-1][1]
        last = driver.screen.journal.entries[-1].line
        assert last.startswith("kubectl exec -it web-")
        assert last.endswith("-c web -n default -- ps -e")
    assert "exit code 0; Enter comes back" in capfd.readouterr().out


async def test_its_own_process_is_attached_to_and_left(
    keyboard: Keyboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as driver:
        notes = lent(driver, monkeypatch)
        pod = next(p for key, p in driver.fake.objects["pods"].items() if "x7k2p" in key)
        changed = copy.deepcopy(pod)
        changed["spec"]["containers"][0] |= {"tty": True, "stdin": True}
        driver.fake.put("pods", changed)
        key = f"default/{pod['metadata']['name']}"
        await driver.until(lambda: driver.screen.cluster.pods()[key].spec.containers[0].tty)
        await goto(driver, "pods /x7k2p")
        driver.app.post_message(key_event("a"))
        await driver.until(lambda: keyboard.raw)
        keyboard.type(b"hi\x10\x11")
        await driver.until(lambda: len(notes) == 2)
        await driver.settle()
        assert driver.fake.shell.typed == b"hi"
        assert "/attach?" in driver.fake.requests[-1][1]


async def test_a_container_without_a_terminal_is_not_attached_to() -> None:
    async with running() as driver:
        await goto(driver, "pods /x7k2p")
        await driver.press("a")
        assert "web has no terminal (tty, stdin)" in driver.text()
        assert all(method != "SOCKET" for method, _, _ in driver.fake.requests)
