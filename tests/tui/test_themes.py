"""Themes: ours, the user's, the terminal's own colours, and a screen without anything but ASCII."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.tui.harness import Driver, running
from tests.tui.test_frames import VIEWS, steer
from tui.themes import ascii, user
from tui.themes.palette import PALETTES


@pytest.fixture
def themes(tmp_path: Path) -> Path:
    """The user's folder; what it adds goes again."""
    folder = tmp_path / "themes"
    folder.mkdir()
    return folder


async def until_theme(driver: Driver, name: str) -> None:
    for _ in PALETTES:
        if driver.app.theme == name:
            return
        await driver.press("T")
    raise AssertionError(name)


async def test_a_choice_is_kept() -> None:
    async with running() as driver:
        await until_theme(driver, "podarium-safe")
        assert "theme podarium-safe" in driver.text()
    async with running() as driver:
        assert driver.app.theme == "podarium-safe"


@pytest.mark.parametrize("name", sorted(PALETTES))
async def test_every_theme_draws_every_view(name: str) -> None:
    async with running() as driver:
        await until_theme(driver, name)
        for view in ("overview", "pods", "pod", "image", "logs", "describe"):
            await steer(driver, VIEWS[view])
            assert driver.text().strip()


async def test_the_terminal_s_own_colours_stay_its_own() -> None:
    async with running() as driver:
        await until_theme(driver, "ansi")
        colours = {
            segment.style.color.type.name
            for strip in driver.app.screen._compositor.render_strips()
            for segment in strip
            if segment.style is not None and segment.style.color is not None
        }
        assert "TRUECOLOR" not in colours


def test_a_user_s_theme_is_one_of_ours_with_other_colours(
    themes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user, "PALETTES", known := dict(PALETTES))
    (themes / "mine.toml").write_text(
        'base = "podarium-light"\n[colours]\nok = "#00D787"\n'
        '[scales]\ncpu = ["#000000", "#ffffff"]\n'
    )
    assert user.load(themes) == []
    mine, base = known["mine"], known["podarium-light"]
    assert mine.colours == base.colours | {"ok": "#00d787"}
    assert mine.scales["cpu"] == ("#000000", "#ffffff")
    assert not mine.dark


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('base = "none"', "base: there is podarium,"),
        ("[colours]\nokay = '#000000'", "colours.okay: there is no such role"),
        ("[colours]\nok = 'green'", "colours.ok: write a colour as '#1f9e8f'"),
        ("[scales]\ncpu = ['#000000']", "scales.cpu: write two colours or more"),
        ("[scales]\ndisk = ['#000000', '#000000']", "scales.disk: there is cpu"),
        ("dark = 'yes'", "dark: write true or false"),
        ("color = 1", "color: there are only base"),
        ("colours = 3", "colours: write a table"),
        ("[", "it is left out"),
    ],
)
def test_a_fault_in_a_theme_costs_that_theme(
    text: str, told: str, themes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user, "PALETTES", known := dict(PALETTES))
    (themes / "bad.toml").write_text(text)
    (themes / "good.toml").write_text("")
    (problem,) = user.load(themes)
    assert problem.startswith("theme bad.toml: ")
    assert told in problem
    assert set(known) - set(PALETTES) == {"good"}


@pytest.mark.parametrize("view", ["overview", "pods", "pod", "image", "logs", "delete", "help"])
async def test_a_screen_in_ascii(view: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as driver:
        await steer(driver, VIEWS[view])
        rich = driver.text().splitlines()
    monkeypatch.setenv("PODARIUM_ASCII", "1")
    async with running() as driver:
        await steer(driver, VIEWS[view])
        text = driver.text()
    assert text.isascii()
    assert "?" not in text.replace("? help", "").replace("?  ", "").replace("giant?", "")
    assert len(text.splitlines()) == len(rich)


@given(st.text())
def test_ascii_keeps_the_width(text: str) -> None:
    clean = "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cs", "Cn", "Cf"))
    found = ascii.plain(clean)
    assert found.isascii()
    assert cell_len(found) == sum(map(cell_len, clean))


@pytest.mark.parametrize(
    ("said", "encoding", "expected"),
    [
        ("1", "UTF-8", True),
        ("0", "ANSI_X3.4-1968", False),
        (None, "UTF-8", False),
        (None, "ANSI_X3.4-1968", True),
        (None, "ISO-8859-1", True),
    ],
)
def test_when_ascii_is_wanted(
    said: str | None, encoding: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("locale.getpreferredencoding", lambda setlocale: encoding)
    environment = {} if said is None else {"PODARIUM_ASCII": said}
    assert ascii.wanted(environment) is expected
