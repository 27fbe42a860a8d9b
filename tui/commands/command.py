"""A user action, declared once: key binding, hint, help line and palette entry derive from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .desk import Desk

Handler = Callable[["Desk"], Awaitable[None] | None]


@dataclass(frozen=True)
class Command:
    """One action."""

    id: str
    keys: tuple[str, ...]
    """Textual's names of keys; a keymap may replace them."""
    title: str
    """For the palette and the help page."""
    help: str
    hint: str
    """One word for the key bar; empty keeps it off the bar."""
    rank: int
    """Place in the key bar, smallest first."""
    scopes: frozenset[str]
    """Where it applies: names of views, or of lists of a kind (`list:pods`); empty: everywhere."""
    group: str
    """Heading on the help page."""
    changes: bool
    """Whether it changes the cluster: not to be had with `--read-only`."""
    handler: Handler

    def applies(self, scopes: Iterable[str]) -> bool:
        """Whether it can be used where all of `scopes` hold."""
        return not self.scopes or not self.scopes.isdisjoint(scopes)


class Registry:
    """All commands, and the keys that reach them."""

    def __init__(self) -> None:
        self._commands: dict[str, Command] = {}

    def add(
        self,
        id: str,
        *keys: str,
        title: str,
        help: str = "",
        hint: str = "",
        rank: int = 50,
        on: Iterable[str] = (),
        group: str = "General",
        changes: bool = False,
    ) -> Callable[[Handler], Handler]:
        """Declare the decorated function as the handler of a command."""

        def declare(handler: Handler) -> Handler:
            if id in self._commands:
                raise ValueError(f"command {id!r} is declared twice")
            self._commands[id] = Command(
                id, keys, title, help or title, hint, rank, frozenset(on), group, changes, handler
            )
            return handler

        return declare

    def __getitem__(self, id: str) -> Command:
        return self._commands[id]

    def all(self) -> list[Command]:
        """Every command, in the order of declaration."""
        return list(self._commands.values())

    def applying(self, scopes: Iterable[str]) -> list[Command]:
        """Commands usable in `scopes`, the most specific first for each key."""
        scopes = set(scopes)
        found = [command for command in self.all() if command.applies(scopes)]
        return sorted(found, key=lambda command: not command.scopes)

    def remap(self, keymap: Mapping[str, str]) -> list[str]:
        """Replace keys by a map of command id to comma-separated keys; answer its faults."""
        problems = []
        for id, keys in keymap.items():
            if id not in self._commands:
                problems.append(f"keymap: there is no command {id!r}")
                continue
            names = tuple(key.strip() for key in keys.split(",") if key.strip())
            self._commands[id] = replace(self._commands[id], keys=names)
        return problems + self.clashes()

    def clashes(self) -> list[str]:
        """Pairs of commands that want the same key in the same place."""
        problems = []
        commands = self.all()
        for index, one in enumerate(commands):
            for other in commands[index + 1 :]:
                shared = set(one.keys) & set(other.keys)
                if shared and (one.scopes & other.scopes or one.scopes == other.scopes):
                    problems.append(
                        f"key {min(shared)!r} is wanted by {one.id!r} and by {other.id!r}"
                    )
        return problems


COMMANDS = Registry()
command = COMMANDS.add

SIGNS = {
    "slash": "/",
    "colon": ":",
    "question_mark": "?",
    "escape": "esc",
    "enter": "⏎",
    "tab": "tab",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "minus": "-",
    "plus": "+",
    "exclamation_mark": "!",
    "equals_sign": "=",
    "backslash": "\\",
    "at": "@",
    "space": "space",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "pageup": "pgup",
    "pagedown": "pgdn",
}


def key_sign(key: str) -> str:
    """A key as people write it: `ctrl+d` is `^d`, `slash` is `/`."""
    if key.startswith("ctrl+"):
        return "^" + key_sign(key[5:])
    if key.startswith("shift+"):
        return "⇧" + key_sign(key[6:])
    return SIGNS.get(key, key)
