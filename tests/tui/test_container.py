"""A container drawn whole, and the replay of its start: as an engine told of a real one."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.tui.fakes import FakeCluster
from tests.tui.harness import SIZES, Driver, running
from tests.tui.test_flows import goto
from tui.model.replay import SPEEDS, Replay, steps_of
from tui.pages.processes import process_tree
from tui.render.spans import plain

TOLD = json.loads((Path(__file__).parent / "container.json").read_text())
STEPS = len(TOLD["trace"]["steps"])
FRAMES = Path(__file__).parent / "frames"


def made(**anatomy: Any) -> FakeCluster:
    fake = FakeCluster()
    fake.containers = copy.deepcopy(TOLD)
    fake.containers["anatomy"] |= anatomy
    return fake


async def inside(driver: Driver) -> None:
    await goto(driver, "pods /x7k2p")
    await driver.press("i")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "keys"), [("inside", []), ("replay", ["r", *["right"] * 22])])
async def test_frame(name: str, keys: list[str], size: str) -> None:
    async with running(made(), size=SIZES[size]) as driver:
        await inside(driver)
        await driver.press(*keys)
        text = driver.text()
    golden = FRAMES / f"{name}-{size}.txt"
    if os.environ.get("UPDATE_FRAMES"):
        golden.write_text(text + "\n", encoding="utf-8")
    assert text + "\n" == golden.read_text(encoding="utf-8")


async def test_namespaces_stand_around_what_shares_them() -> None:
    async with running(made(), size=SIZES["large"]) as driver:
        await inside(driver)
        rows = driver.text().splitlines()
        at = {
            word: next(y for y, row in enumerate(rows) if word in row)
            for word in ("user 40", "pod web", "net 40", "container web", "pid 40", "1 · ")
        }
        assert list(at.values()) == sorted(at.values())
        assert "/proc/26547/ns" in rows[at["user 40"] - 1]


async def test_what_is_written_meanwhile_stands_out() -> None:
    fake = made()
    async with running(fake) as driver:
        await inside(driver)
        assert "/new/file" not in driver.text()
        changes = fake.containers["anatomy"]["changes"]
        changes.append({"kind": "added", "path": "/new/file", "size": 2048})
        driver.screen.reading.anatomy(driver.screen.place)
        await driver.until(lambda: "/new/file" in driver.text())
        lit = [
            text
            for row in driver.screen.sheet.page.lines
            for text, role in row
            if role == "bright bold" and text.startswith("/")
        ]
        assert lit == ["/new/file"]


async def test_a_replay_makes_the_drawing_step_by_step() -> None:
    async with running(made()) as driver:
        await inside(driver)
        await driver.press("r")
        assert "before the start" in driver.text()
        replay = driver.screen.pages.replay
        assert replay is not None
        assert {replay.look(name) for name in ("cgroup", "rootfs", "process")} == {"todo"}
        await driver.press("right")
        assert replay.look("cgroup") == "now"
        assert "create-cgroup" in driver.text()
        assert "$ mkdir -p /sys/fs/cgroup/cpu/" in driver.text()
        assert "done ahead" in driver.text()
        await driver.press("G")
        assert f"{STEPS}/{STEPS}" in driver.text()
        assert replay.look("cgroup") == "done"
        assert replay.look("process") == "now"
        await driver.press("left")
        assert f"{STEPS - 1}/{STEPS}" in driver.text()
        await driver.press("r")
        assert driver.screen.pages.replay is None
        assert "replay of its start" not in driver.text()


async def test_it_plays_by_itself_and_stops_at_the_end() -> None:
    async with running(made()) as driver:
        await inside(driver)
        await driver.press("r", "G", "left", "left", "plus", "plus", "plus", "plus")
        replay = driver.screen.pages.replay
        assert replay is not None
        assert replay.speed == SPEEDS[-1]
        await driver.press("space")
        await driver.until(lambda: replay.at == STEPS - 1 and not replay.playing)
        await driver.press("escape")
        assert driver.screen.pages.replay is None


async def test_a_start_that_nobody_knows_is_told() -> None:
    fake = made()
    fake.containers["trace"] = {}
    async with running(fake) as driver:
        await inside(driver)
        await driver.press("r")
        assert "nothing is known of the start of web" in driver.text()


async def test_only_our_engine_can_look_inside() -> None:
    fake = made()
    fake.podarium = False
    async with running(fake) as driver:
        await inside(driver)
        assert "only a Podarium engine can look inside" in driver.text()


async def test_hostile_names_are_only_text() -> None:
    process = dict(TOLD["anatomy"]["processes"][0], command="x\x1b]0;evil\x07 [red]y\u202e")
    mount = dict(TOLD["anatomy"]["mounts"][0], path="/a\nb\x1b[2J")
    fake = made(processes=[process], mounts=[mount])
    async with running(fake, size=SIZES["large"]) as driver:
        await inside(driver)
        text = driver.text()
        assert "[red]y" in text
        assert not any(char in text for char in "\x1b\x07\u202e")
        assert "/a␊b␛[2J" in text


def test_a_tree_of_processes() -> None:
    def process(pid: int, parent: int, command: str) -> dict[str, Any]:
        return {
            "pid": pid,
            "parent": parent,
            "inner": pid - 100,
            "command": command,
            "rss": 1 << 20,
        }

    block = process_tree(
        [
            process(101, 7, "init"),
            process(102, 101, "a"),
            process(103, 102, "b"),
            process(104, 101, "c"),
            process(105, 9, "from outside"),
        ],
        60,
    )
    rows = [row.partition("  1.00")[0].rstrip() for row in plain(block).splitlines()]
    assert rows == [
        "1 · 101  init",
        "├─ 2 · 102  a",
        "│  └─ 3 · 103  b",
        "└─ 4 · 104  c",
        "5 · 105  from outside",
    ]


def test_a_replay_stays_within_its_steps() -> None:
    replay = Replay(steps_of(TOLD["trace"]), 5)
    replay.move(-3)
    assert (replay.at, replay.step) == (-1, None)
    replay.move(1000)
    assert replay.at == STEPS - 1
    replay.play()
    assert (replay.at, replay.playing) == (-1, True)
    replay.edge(True)
    assert not replay.playing


def test_what_is_no_trace_has_no_steps() -> None:
    for nonsense in ({}, {"steps": 3}, {"steps": [1, "x"]}):
        assert steps_of(nonsense) == []
