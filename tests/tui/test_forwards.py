"""Ports of pods from the dashboard: begun, listed, lost, stopped. The way itself is tried on a real
cluster."""

from __future__ import annotations

import socket
import webbrowser

import pytest

from tests.tui.harness import Driver, running
from tests.tui.test_flows import goto


def listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


async def begun(driver: Driver, text: str = ":8080") -> int:
    """Ask for a port of a pod; the local one."""
    await goto(driver, "pods /web")
    await driver.press("F", *["backspace"] * 8, *text, "enter")
    await driver.until(lambda: bool(driver.app.forwards.all))
    await driver.settle()
    return driver.app.forwards.all[0].local


async def test_a_port_is_reached_listed_and_let_go() -> None:
    async with running() as driver:
        port = await begun(driver)
        assert f"http://127.0.0.1:{port}/ is port 8080 of web-" in driver.text()
        assert listens(port)
        await driver.press("f")
        assert f"● listening  http://127.0.0.1:{port}/  → default/web-" in driver.text()
        await driver.press("ctrl+d")
        await driver.until(lambda: not driver.app.forwards.all)
        await driver.settle()
        assert "No port is reached from here" in driver.text()
        assert not listens(port)
        assert driver.screen.journal.entries[-1].line.startswith("kubectl port-forward pod/web-")


async def test_what_cannot_be_a_port_is_told() -> None:
    async with running() as driver:
        await goto(driver, "pods /web")
        await driver.press("F", *["backspace"] * 8, *"http", "enter")
        assert "write LOCAL:REMOTE" in driver.text()
        assert not driver.app.forwards.all


async def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with running() as driver:
            await goto(driver, "pods /web")
            await driver.press("F", *["backspace"] * 8, *f"{port}:80", "enter")
            await driver.until(lambda: f"port {port}" in driver.text())
            assert "choose another, or :80" in driver.text()
            assert not driver.app.forwards.all


async def test_one_whose_pod_is_gone_says_so() -> None:
    async with running() as driver:
        await begun(driver)
        made = driver.app.forwards.all[0]
        await goto(driver, "forwards")
        driver.fake.remove("pods", f"default/{made.pod}")
        await driver.until(lambda: made.problem == "the pod is gone")
        await driver.settle()
        assert "the pod is gone" in driver.text()


async def test_a_lost_one_says_so() -> None:
    async with running() as driver:
        await begun(driver)
        await goto(driver, "forwards")
        driver.fake.shell.breaks()
        await driver.until(lambda: driver.app.forwards.all[0].state == "lost")
        await driver.settle()
        assert "▲ lost" in driver.text()


async def test_the_browser_is_given_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    class Browser:
        def open(self, url: str) -> bool:
            opened.append(url)
            return True

    monkeypatch.setattr(webbrowser, "get", Browser)
    async with running() as driver:
        port = await begun(driver)
        await driver.press("f", "w")
        assert opened == [f"http://127.0.0.1:{port}/"]
        assert driver.app.clipboard == f"http://127.0.0.1:{port}/"


async def test_they_end_with_the_dashboard() -> None:
    async with running() as driver:
        port = await begun(driver)
    assert not listens(port)
