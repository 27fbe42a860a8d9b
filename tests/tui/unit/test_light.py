"""What must be quick to import is; what must not know Textual does not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tui.prepaint import skeleton


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_the_first_picture_imports_next_to_nothing() -> None:
    loaded = modules_after("import tui.prepaint") - modules_after("")
    assert loaded == {"tui", "tui.prepaint"}


def test_the_door_to_the_dashboard_is_light() -> None:
    loaded = modules_after("import tui.app, tui.endpoint")
    assert not loaded & {"textual", "rich", "aiohttp", "msgspec"}


@pytest.mark.parametrize(
    "module",
    ["cluster", "view", "columns", "series", "logs", "boot", "place", "insight", "log_stream"],
)
def test_the_model_knows_no_textual(module: str) -> None:
    assert "textual" not in modules_after(f"import tui.model.{module}")


def test_pages_know_no_textual() -> None:
    loaded = modules_after("import tui.pages.overview, tui.pages.pod, tui.pages.layers")
    assert "textual" not in loaded


@pytest.mark.parametrize("size", [(80, 24), (200, 60), (40, 12), (20, 6)])
def test_the_skeleton_stays_on_the_screen(size: tuple[int, int]) -> None:
    columns, rows = size
    text = skeleton(columns, rows, "demo")
    assert "podarium" in text
    assert text.endswith("\x1b[0m")
    for part in text.split("\x1b[")[1:]:
        if part.partition("H")[1] and part.partition("H")[0].replace(";", "").isdigit():
            row, column = part.partition("H")[0].split(";")
            assert 1 <= int(row) <= rows
            assert 1 <= int(column) <= columns
