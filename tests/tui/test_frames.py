"""Golden frames: every view at three sizes, as text, and its colours as runs.

UPDATE_FRAMES=1 writes them anew; look at the difference before you keep it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.tui.harness import SIZES, Driver, running

FRAMES = Path(__file__).parent / "frames"

VIEWS: dict[str, list[str]] = {
    "overview": [],
    "pods": [":pods"],
    "nodes": [":nodes"],
    "deployments": [":deploy"],
    "replicasets": [":rs"],
    "jobs": [":jobs"],
    "images": [":images"],
    "events": [":events"],
    "namespaces": [":ns"],
    "empty": [":svc"],
    "hidden": [":pods /foo"],
    "pod": [":pods /tq2ws", "enter"],
    "pod-broken": [":pods /leak", "enter"],
    "pod-pending": [":pods /giant", "enter"],
    "node": [":nodes", "enter"],
    "image": [":images", "enter"],
    "files": [":images", "f", "down", "down", "space", "down", "down"],
    "files-open": [
        ":images",
        "f",
        "left_square_bracket",
        "down",
        "down",
        "down",
        "down",
        "right",
        "down",
        "down",
        "right",
        "S",
    ],
    "waste": [":images", "w"],
    "which": [":images", "f", "down", "right", "down", "down", "w"],
    "change": [":images", "f", "down", "right", "down", "down", "D"],
    "diff": [":images", "f", "c", *"podarium/tools", "enter"],
    "diff-pod": [":pods /x7k2p", "equals_sign"],
    "file": [":images", "f", "G", "k", "k", "k", "right", "down", "down", "enter"],
    "pull": [":images", "p", *"debian", "enter"],
    "logs": [":pods /x7k2p", "l"],
    "describe": [":pods /leak", "d"],
    "yaml": [":pods /leak", "y"],
    "help": ["question_mark"],
    "delete": [":pods /giant", "ctrl+d"],
    "scale": [":deploy", "s"],
    "heat": ["H"],
    "xray": [":deploy /web", "X"],
    "xray-node": [":nodes", "X"],
    "marked": [":pods", "space", "j", "space"],
    "drain": [":nodes", "j", "j", "r"],
    "log": [":deploy", "d", "escape", ":nodes", "ctrl+o"],
    "leave": ["q"],
    "command": ["colon", "d", "e", "p"],
}
NAMES = {" ": "space", "/": "slash"}


async def steer(driver: Driver, steps: list[str]) -> None:
    for step in steps:
        if step.startswith(":"):
            await driver.press("colon", *(NAMES.get(char, char) for char in step[1:]), "enter")
        else:
            await driver.press(step)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("view", VIEWS)
async def test_frame(view: str, size: str) -> None:
    async with running(size=SIZES[size]) as driver:
        await steer(driver, VIEWS[view])
        await driver.settle()
        text = driver.text()
    columns, rows = SIZES[size]
    lines = text.split("\n")
    assert len(lines) == rows
    assert max(map(len, lines)) <= columns
    golden = FRAMES / f"{view}-{size}.txt"
    if os.environ.get("UPDATE_FRAMES"):
        golden.write_text(text + "\n", encoding="utf-8")
    assert text + "\n" == golden.read_text(encoding="utf-8")


async def test_the_body_has_four_fifths_of_a_small_screen() -> None:
    async with running(size=(80, 24)) as driver:
        assert driver.screen.query_one("#body").size.height >= 24 * 4 / 5


@pytest.mark.parametrize("view", VIEWS)
async def test_a_tiny_screen_breaks_nothing(view: str) -> None:
    async with running(size=(24, 6)) as driver:
        await steer(driver, VIEWS[view])
        lines = driver.text().split("\n")
    assert len(lines) == 6
    assert max(map(len, lines)) <= 24


@pytest.mark.parametrize("view", ["overview", "pods", "pod", "image", "logs"])
async def test_resizing_draws_again(view: str) -> None:
    async with running(size=(200, 60)) as driver:
        await steer(driver, VIEWS[view])
        await driver.pilot.resize_terminal(80, 24)
        await driver.settle()
        small = driver.text()
        await driver.pilot.resize_terminal(200, 60)
        await driver.settle()
        large = driver.text()
    for text, size in ((small, "small"), (large, "large")):
        golden = (FRAMES / f"{view}-{size}.txt").read_text(encoding="utf-8")
        assert text.splitlines()[0].rstrip() == golden.splitlines()[0]
        assert len(text.split("\n")) == len(golden.splitlines())
