"""The line one types into: a filter after `/`, a command after `:`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Static

from ..commands.line import complete


class _Ghost(Suggester):
    """Completes commands."""

    def __init__(self, namespaces: Callable[[], list[str]]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self.namespaces = namespaces

    async def get_suggestion(self, value: str) -> str | None:
        return complete(value, self.namespaces())


class Prompt(Horizontal):
    """Takes the place of the key bar while it is open."""

    DEFAULT_CSS = """
    Prompt { height: 1; background: $bar; display: none; }
    Prompt Static { width: auto; color: $accent; text-style: bold; background: $bar; }
    Prompt Input, Prompt Input:focus {
        width: 1fr; height: 1; border: none; padding: 0; background: $bar; color: $bright;
    }
    """

    @dataclass
    class Changed(Message):
        """The text changed."""

        mode: str
        text: str

    @dataclass
    class Done(Message):
        """Enter (`accepted`) or escape."""

        mode: str
        text: str
        accepted: bool

    def __init__(self, namespaces: Callable[[], list[str]]) -> None:
        super().__init__(id="prompt")
        self.mode = ""
        self._ghost = _Ghost(namespaces)
        self._sign = Static("", markup=False)
        self._input = Input(compact=True, select_on_focus=False)
        self._input.cursor_blink = False
        self._history: dict[str, list[str]] = {}
        self._back = 0

    def compose(self) -> ComposeResult:
        yield self._sign
        yield self._input

    @property
    def open(self) -> bool:
        """Whether it is on screen."""
        return bool(self.mode)

    def start(self, mode: str, text: str = "") -> None:
        """Open it."""
        self.mode = mode
        self._back = 0
        self._sign.update(" /" if mode == "filter" else " :")
        self._input.suggester = self._ghost if mode == "command" else None
        self._input.value = text
        self._input.cursor_position = len(text)
        self.display = True
        self.screen.set_focus(self._input)

    def _finish(self, accepted: bool) -> None:
        mode, self.mode = self.mode, ""
        text = self._input.value
        self.display = False
        if accepted and text:
            past = self._history.setdefault(mode, [])
            if text not in past[-1:]:
                past.append(text)
        self.post_message(self.Done(mode, text, accepted))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.mode:
            self.post_message(self.Changed(self.mode, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._finish(True)

    def on_key(self, event: events.Key) -> None:
        if event.key == "escape":
            event.stop()
            event.prevent_default()
            self._finish(False)
        elif event.key in ("tab", "ctrl+f"):
            event.stop()
            event.prevent_default()
            if self.mode == "command":
                whole = complete(self._input.value, self._ghost.namespaces())
                if whole:
                    self._input.value = whole
                    self._input.cursor_position = len(whole)
        elif event.key in ("up", "down"):
            event.stop()
            self._recall(1 if event.key == "up" else -1)
        elif event.key == "backspace" and not self._input.value:
            event.stop()
            self._finish(False)

    def _recall(self, step: int) -> None:
        past = self._history.get(self.mode, [])
        self._back = max(0, min(len(past), self._back + step))
        self._input.value = past[-self._back] if self._back else ""
        self._input.cursor_position = len(self._input.value)
