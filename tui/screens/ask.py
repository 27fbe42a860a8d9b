"""Questions over the main screen: a choice, a number, a line of text."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from ..commands.desk import Choice
from ..render.spans import EMPTY, Block, Line, Span, cells, wrapped
from ..render.text import inert
from ..widgets.surface import Surface

_CSS = """
%s { align: center middle; background: $background 60%%; }
%s > Vertical {
    width: 60; max-width: 90%%; height: auto; padding: 1 2;
    background: $bar; border: round $focus;
}
"""


class Question(Surface):
    """The words and the answers."""

    DEFAULT_CSS = "Question { height: auto; width: 1fr; background: $bar; }"
    ground = "@bar"
    whole = True

    def __init__(
        self, title: str, lines: Sequence[str], choices: Sequence[Choice], at: int
    ) -> None:
        super().__init__()
        self.title_text = title
        self.words = lines
        self.choices = choices
        self.at = at
        self.zones: list[tuple[int, int]] = []

    @property
    def chosen(self) -> Choice:
        return self.choices[self.at]

    def step(self, step: int) -> None:
        """To the next answer, or the one before."""
        self.at = (self.at + step) % len(self.choices)
        self.repaint()

    def choice_at(self, event: events.Click) -> Choice | None:
        """The answer that was clicked."""
        last = event.screen_y - self.region.y == self.size.height - 1
        if event.widget is self and last:
            x = event.screen_x - self.region.x
            for choice, (start, end) in zip(self.choices, self.zones, strict=True):
                if start <= x < end:
                    return choice
        return None

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return len(self._lines(width))

    def _lines(self, width: int) -> Block:
        out: Block = []
        if self.title_text:
            out += [((row, "bright bold"),) for row in wrapped(inert(self.title_text), width)]
            out.append(EMPTY)
        for text in self.words:
            out += [((row, "text"),) for row in wrapped(inert(text), width)]
        if not self.choices:
            return out
        if self.words:
            out.append(EMPTY)
        spans: list[Span] = []
        self.zones = []
        x = 0
        for index, choice in enumerate(self.choices):
            label = f"  {choice.label}  "
            role = choice.role if choice.role != "text" else "accent"
            spans.append((label, f"ink bold @{role}" if index == self.at else "text @track"))
            spans.append(("  ", "text"))
            self.zones.append((x, x + cells(label)))
            x += cells(label) + 2
        out.append(tuple(spans))
        return out

    def rows(self) -> Block:
        return self._lines(self.size.width)

    def row(self, y: int) -> Line:
        return self.rows()[y]


class Ask(ModalScreen[str | None]):
    """One of several answers; escape is none of them."""

    DEFAULT_CSS = _CSS % ("Ask", "Ask")

    def __init__(
        self, title: str, lines: Sequence[str], choices: Sequence[Choice], default: str
    ) -> None:
        super().__init__()
        at = next((i for i, choice in enumerate(choices) if choice.id == default), 0)
        self.question = Question(title, lines, choices, at)

    def compose(self) -> ComposeResult:
        with Vertical():
            yield self.question

    def on_key(self, event: events.Key) -> None:
        event.stop()
        if event.key in ("left", "shift+tab", "h", "up", "k"):
            self.question.step(-1)
        elif event.key in ("right", "tab", "l", "down", "j"):
            self.question.step(1)
        elif event.key in ("enter", "space"):
            self.dismiss(self.question.chosen.id)
        elif event.key in ("escape", "ctrl+c", "q"):
            self.dismiss(None)

    def on_click(self, event: events.Click) -> None:
        choice = self.question.choice_at(event)
        if choice is not None:
            self.dismiss(choice.id)


class AskNumber(ModalScreen[int | None]):
    """A whole number from 0 on."""

    DEFAULT_CSS = (
        _CSS % ("AskNumber", "AskNumber")
        + """
    AskNumber Input {
        width: 12; border: none; height: 1; padding: 0 1; background: $track; color: $bright;
    }
    """
    )

    def __init__(self, title: str, label: str, value: int) -> None:
        super().__init__()
        words = f"{label} (now {value}); ↑ and ↓ change it, enter accepts, esc cancels"
        self.question = Question(title, [words], [], 0)
        self.input = Input(str(value), type="integer", max_length=4, compact=True)
        self.input.cursor_blink = False

    def compose(self) -> ComposeResult:
        with Vertical():
            yield self.question
            yield self.input

    def on_mount(self) -> None:
        self.input.focus()

    def _value(self) -> int | None:
        text = self.input.value.strip()
        return int(text) if text.isdigit() else None

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        value = self._value()
        if value is not None:
            self.dismiss(value)

    def on_key(self, event: events.Key) -> None:
        if event.key in ("escape", "ctrl+c"):
            event.stop()
            self.dismiss(None)
        elif event.key in ("up", "down"):
            event.stop()
            value = max(0, (self._value() or 0) + (1 if event.key == "up" else -1))
            self.input.value = str(value)
            self.input.cursor_position = len(self.input.value)


class AskText(ModalScreen[str | None]):
    """A line of text."""

    DEFAULT_CSS = (
        _CSS % ("AskText", "AskText")
        + """
    AskText Input {
        width: 1fr; border: none; height: 1; padding: 0 1; background: $track; color: $bright;
    }
    """
    )

    def __init__(self, title: str, words: str, value: str = "") -> None:
        super().__init__()
        self.question = Question(title, [f"{words}; enter accepts, esc cancels"], [], 0)
        self.input = Input(value, compact=True)
        self.input.cursor_blink = False

    def compose(self) -> ComposeResult:
        with Vertical():
            yield self.question
            yield self.input

    def on_mount(self) -> None:
        self.input.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(self.input.value)

    def on_key(self, event: events.Key) -> None:
        if event.key in ("escape", "ctrl+c"):
            event.stop()
            self.dismiss(None)
