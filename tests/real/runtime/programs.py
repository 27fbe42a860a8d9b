"""Copies of the keeper's program that differ from it in one place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.runtime import program


def copied(root: Path, file: str, old: str, new: str) -> Path:
    """One in whose `file`, below engine/, `old` is `new`; gives the folder of its package."""
    here = Path(program.__file__).parents[1]
    for folder in ("linux", "runtime"):
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(here / folder, root / "engine" / folder, ignore=skip)
    (root / "engine/__init__.py").touch()
    changed = root / "engine" / file
    text = changed.read_text()
    assert old in text, f"{file} has no {old!r}"
    changed.write_text(text.replace(old, new))
    return root


def use(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    """Keepers that are started from now on are of that copy, which passes for our own program."""
    program.digest()
    monkeypatch.setattr(program, "_ROOT", root)
    monkeypatch.setattr(program, "_HERE", root / "engine/runtime/keeper")
