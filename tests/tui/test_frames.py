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
    "logs": [":pods /x7k2p", "l"],
    "describe": [":pods /leak", "d"],
    "yaml": [":pods /leak", "y"],
    "help": ["question_mark"],
    "delete": [":pods /giant", "ctrl+d"],
    "scale": [":deploy", "s"],
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
