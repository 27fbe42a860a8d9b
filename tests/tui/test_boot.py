"""The start: steps while the engine comes up, the overview once it answers, words when it fails."""

from __future__ import annotations

from pathlib import Path

from tests.tui.fakes import FakeCluster
from tests.tui.harness import running


async def test_the_steps_are_shown_until_the_api_answers(tmp_path: Path) -> None:
    log = tmp_path / "boot.jsonl"
    fake = FakeCluster()
    fake.reachable = False
    async with running(fake, boot=log, t0=0.0, stopwatch=lambda: 1.25) as driver:
        await driver.until(lambda: "starting the engine" in driver.text())
        log.write_text(
            '{"step":"store","t":0.1,"ms":38.7,"state":"done"}\n'
            '{"step":"nodes","t":0.2,"state":"started","detail":"3 keepers"}\n'
        )
        await driver.until(lambda: "39 ms" in driver.text())
        assert "nodes  3 keepers" in driver.text()
        assert "1.2 s" in driver.text()
        fake.heal()
        await driver.until(lambda: "deploy/web" in driver.text())


async def test_a_failed_start_says_what_failed(tmp_path: Path) -> None:
    log = tmp_path / "boot.jsonl"
    log.write_text('{"step":"network","t":0.3,"state":"failed","detail":"no bridge module"}\n')
    fake = FakeCluster()
    fake.reachable = False
    async with running(fake, boot=log, t0=0.0, stopwatch=lambda: 2.0) as driver:
        await driver.until(lambda: "network: no bridge module" in driver.text())
        assert "engine.log" in driver.text()
        await driver.pilot.press("q")
        await driver.until(lambda: driver.app.return_value == "detached")


async def test_keys_wait_for_the_cluster(tmp_path: Path) -> None:
    fake = FakeCluster()
    fake.reachable = False
    async with running(fake, boot=tmp_path / "none", t0=0.0) as driver:
        await driver.pilot.press("colon", "d", "enter")
        assert driver.screen.place.view == "overview"
        assert not driver.screen.prompt_line.open
