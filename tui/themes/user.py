"""The user's own themes: TOML files of colours over one of ours; and which theme was chosen last.

    base = "podarium"
    [colours]
    background = "#101010"
    ok = "#00d787"
    [scales]
    cpu = ["#1f9e8f", "#ffcc00", "#ff5f5f"]

A fault in a file costs that theme, never the dashboard.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

from ..model.saved import state
from .palette import DARK, PALETTES, Palette

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_KEYS = ("base", "dark", "colours", "scales")


def place() -> Path:
    """$XDG_CONFIG_HOME/podarium/themes."""
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(config) / "podarium" / "themes"


def load(folder: Path) -> list[str]:
    """Add a palette for each file, named as the file; what is wrong with them, in words."""
    problems = []
    for file in sorted(folder.glob("*.toml")):
        try:
            palette = _palette(file.stem, tomllib.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            words = getattr(error, "strerror", None) or error
            problems.append(f"theme {file.name}: {words}; it is left out")
        else:
            PALETTES[palette.name] = palette
    return problems


def _palette(name: str, found: dict[str, object]) -> Palette:
    """Raise ValueError, naming the field."""
    if unknown := [key for key in found if key not in _KEYS]:
        raise ValueError(f"{unknown[0]}: there are only {', '.join(_KEYS)}")
    base = PALETTES.get(str(found.get("base", DARK.name)))
    if base is None:
        raise ValueError(f"base: there is {', '.join(PALETTES)}, not {found['base']!r}")
    colours, scales = dict(base.colours), dict(base.scales)
    for role, colour in _table(found, "colours").items():
        if role not in base.colours:
            raise ValueError(f"colours.{role}: there is no such role")
        colours[role] = _colour(f"colours.{role}", colour)
    for scale, stops in _table(found, "scales").items():
        if scale not in base.scales:
            raise ValueError(f"scales.{scale}: there is {', '.join(base.scales)}")
        if not isinstance(stops, list) or len(stops) < 2:
            raise ValueError(f"scales.{scale}: write two colours or more, from calm to hot")
        scales[scale] = tuple(_colour(f"scales.{scale}", stop) for stop in stops)
    dark = found.get("dark", base.dark)
    if not isinstance(dark, bool):
        raise ValueError("dark: write true or false")
    return Palette(name, dark, colours, scales)


def _table(found: dict[str, object], name: str) -> dict[str, object]:
    table = found.get(name, {})
    if not isinstance(table, dict):
        raise ValueError(f"{name}: write a table, [{name}]")
    return table


def _colour(field: str, value: object) -> str:
    if not isinstance(value, str) or not _COLOUR.fullmatch(value):
        raise ValueError(f"{field}: write a colour as '#1f9e8f', not {value!r}")
    return value.lower()


def chosen() -> str:
    """The theme that was chosen last; the first of ours when it is no more."""
    try:
        name = (state() / "theme").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return DARK.name
    return name if name in PALETTES else DARK.name


def choose(name: str) -> None:
    """Keep a choice for the next time. Raise OSError."""
    state().mkdir(parents=True, exist_ok=True)
    (state() / "theme").write_text(name + "\n", encoding="utf-8")
