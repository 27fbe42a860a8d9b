"""The line below the body: crumbs, the keys that matter here, short-lived messages."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.message import Message

from ..commands.command import Command, key_sign
from ..render.spans import Line, Span, cells, clip, on_bar, spread, width_of
from ..render.text import inert
from .surface import Surface


class KeyBar(Surface):
    """One row: where one is, the keys that matter here, and short-lived messages over all of it."""

    DEFAULT_CSS = "KeyBar { height: 1; }"

    class Pressed(Message):
        """A click on a hint."""

        def __init__(self, command: Command) -> None:
            self.command = command
            super().__init__()

    def __init__(self) -> None:
        super().__init__(id="keys")
        self.crumbs: list[str] = []
        self.commands: Sequence[Command] = ()
        self.right = ""
        self._flash: tuple[str, str] | None = None
        self._zones: list[tuple[int, int, Command]] = []

    def show(self, crumbs: list[str], commands: Sequence[Command], right: str = "") -> None:
        """Another place."""
        self.crumbs = crumbs
        self.commands = commands
        self.right = right
        self.repaint()

    def flash(self, text: str, role: str = "text") -> None:
        """Show a message until the next one, or until `unflash`."""
        self._flash = (inert(text), role)
        self.repaint()

    def unflash(self) -> None:
        """Take the message away."""
        self._flash = None
        self.repaint()

    def row(self, y: int) -> Line:
        width = self.size.width
        if self._flash is not None:
            text, role = self._flash
            sign = {"bad": "✖", "warn": "▲", "ok": "✔"}.get(role, "·")
            return on_bar(clip(((f" {sign} {text}", f"{role} bold"),), width), width)
        left: list[Span] = [(" ", "text")]
        for index, crumb in enumerate(self.crumbs):
            last = index == len(self.crumbs) - 1
            if index:
                left.append((" › ", "faint"))
            left.append((inert(crumb), "bright bold" if last else "dim"))
        left = list(clip(left, max(20, width // 2)))
        left.append(("  ", "text"))
        right: list[Span] = [(f" {self.right} ", "dim")] if self.right else []
        self._zones = []
        helper = next((command for command in self.commands if command.id == "help"), None)
        if helper is not None:
            right += [(key_sign(helper.keys[0]), "key bold"), (f" {helper.hint} ", "dim")]
            self._zones.append((width - width_of(right), width, helper))
        x = width_of(left)
        room = width - width_of(right)
        for command in self.commands:
            if command is helper:
                continue
            sign, hint = key_sign(command.keys[0]), command.hint
            size = cells(sign) + cells(hint) + 3
            if x + size > room:
                break
            left += [(sign, "key bold"), (f" {hint}  ", "dim")]
            self._zones.append((x, x + size, command))
            x += size
        return on_bar(spread(left, right, width), width)

    def on_click(self, event: events.Click) -> None:
        for start, end, command in self._zones:
            if start <= event.x < end:
                self.post_message(self.Pressed(command))
