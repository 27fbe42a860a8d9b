"""The user's own keys: a TOML file of command ids and the keys that are to reach them.

    shell = "f2"
    delete = ["ctrl+x", "delete"]
    mark = ""            # no key at all

A fault in the file costs the line it is in, never the dashboard.
"""

from __future__ import annotations

import os
import re
import tomllib
import unicodedata
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from .command import SIGNS, Registry

_MODIFIERS = r"(?:(?:ctrl|shift|alt|meta|super|hyper)\+)*"
_NAMED = re.compile(
    r"enter|escape|tab|space|backspace|delete|insert|home|end|page(?:up|down)|f\d\d?"
)
_NAMES = {sign: name for name, sign in SIGNS.items() if len(sign) == 1}


def place() -> Path:
    """$XDG_CONFIG_HOME/podarium/keymap.toml."""
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(config) / "podarium" / "keymap.toml"


def load(registry: Registry, file: Path) -> list[str]:
    """Put a file's keys in place of the declared ones; what is wrong with it, in words."""
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return [f"{file}: {getattr(error, 'strerror', None) or error}; the usual keys are used"]
    known = [command.id for command in registry.all()]
    keymap: dict[str, str] = {}
    problems = []
    for id, value in found.items():
        keys = _keys(value)
        if id not in known:
            near = get_close_matches(id, known, 1, cutoff=0.75)
            problems.append(f"there is no command {id!r}" + (f"; {near[0]!r}?" if near else ""))
        elif keys is None:
            problems.append(f"{id}: write one key or a list of keys, as {id} = 'ctrl+x'")
        elif wrong := [key for key in keys if not _is_key(key)]:
            problems.append(f"{id}: there is no key {wrong[0]!r}; write ctrl+x, f2, pageup, /")
        else:
            keymap[id] = ",".join(keys)
    return [f"{file.name}: {problem}" for problem in (*problems, *registry.remap(keymap))]


def in_short(problems: Sequence[str]) -> str:
    """The first of them, and where the others are."""
    rest = len(problems) - 1
    return problems[0] + (f" (and {rest} more: podarium keymap)" if rest else "")


def _keys(value: object) -> Sequence[str] | None:
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return None
    names = [word.strip() for word in words]
    return [_NAMES.get(name, name) for name in names if name]


def _is_key(name: str) -> bool:
    """Whether a terminal can send it: a character or its name, or one of the keys with names."""
    last = re.sub(f"^{_MODIFIERS}", "", name)
    if len(last) == 1 or last in SIGNS or _NAMED.fullmatch(last):
        return True
    try:
        unicodedata.lookup(last.replace("_", " "))
    except KeyError:
        return False
    return True
