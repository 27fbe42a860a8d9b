"""The user's own keys, and what is said of a file with faults."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tui.commands.command import Registry
from tui.commands.keymap import load


def registry() -> Registry:
    found = Registry()
    found.add("shell", "s", title="Shell", on=("list",))(lambda desk: None)
    found.add("logs", "l", title="Logs", on=("list",))(lambda desk: None)
    return found


def keymap(folder: Path, text: str) -> Path:
    file = folder / "keymap.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_without_a_file_keys_stay(tmp_path: Path) -> None:
    found = registry()
    assert load(found, tmp_path / "none.toml") == []
    assert found["shell"].keys == ("s",)


@pytest.mark.parametrize(
    ("value", "keys"),
    [
        ('"f2"', ("f2",)),
        ('["ctrl+x", "/"]', ("ctrl+x", "slash")),
        ('"a, b"', ("a", "b")),
        ('""', ()),
        ('"left_square_bracket"', ("left_square_bracket",)),
        ('"semicolon"', ("semicolon",)),
    ],
)
def test_keys_of_a_file(value: str, keys: tuple[str, ...], tmp_path: Path) -> None:
    found = registry()
    assert load(found, keymap(tmp_path, f"shell = {value}\n")) == []
    assert found["shell"].keys == keys


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('shel = "x"', "keymap.toml: there is no command 'shel'; 'shell'?"),
        ('shell = "l"', "keymap.toml: key 'l' is wanted by 'shell' and by 'logs'"),
        ('shell = "ctr+x"', "keymap.toml: shell: there is no key 'ctr+x'; write ctrl+x"),
        ("shell = 3", "keymap.toml: shell: write one key or a list of keys"),
        ("shell = ", "the usual keys are used"),
    ],
)
def test_faults_are_named(text: str, wanted: str, tmp_path: Path) -> None:
    found = registry()
    (problem,) = load(found, keymap(tmp_path, text))
    assert wanted in problem


def test_a_fault_costs_only_its_line(tmp_path: Path) -> None:
    found = registry()
    assert len(load(found, keymap(tmp_path, 'no = "x"\nshell = "f2"\n'))) == 1
    assert found["shell"].keys == ("f2",)


def test_the_words_of_podarium_keymap(tmp_path: Path) -> None:
    (tmp_path / "podarium").mkdir()
    keymap(tmp_path / "podarium", 'shell = "f9"\nbogus = "x"\n')
    ran = subprocess.run(
        [sys.executable, "-m", "podarium", "keymap"],
        env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1
    assert "there is no command 'bogus'" in ran.stderr
    assert '["f9"]' in next(s for s in ran.stdout.splitlines() if s.startswith("shell "))


APP = """
import asyncio
from pathlib import Path
from tui.commands import keymap
from tui.commands.all import COMMANDS
problems = keymap.load(COMMANDS, keymap.place())
from tests.tui.harness import running

async def main():
    async with running(problems=problems) as driver:
        assert "there is no command 'bogus' (and 1 more: podarium keymap)" in driver.text()
        await driver.press("f9")
        assert "podarium keymap: how to change them" in driver.text()
        assert "keymap.toml: there is no command 'other'" in driver.text()
        assert " f9 " in driver.text()
        await driver.press("escape", "question_mark")
        assert driver.app.screen is driver.screen

asyncio.run(main())
"""


def test_the_dashboard_obeys_and_tells(tmp_path: Path) -> None:
    (tmp_path / "podarium").mkdir()
    keymap(tmp_path / "podarium", 'help = "f9"\nbogus = "x"\nother = "y"\n')
    env = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", APP], env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
