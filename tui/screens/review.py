"""A text over the main screen that may be long, and a question about it: a difference, a plan."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from ..commands.desk import Choice
from ..render.spans import Block
from ..render.text import inert
from ..widgets.text_view import TextView
from .ask import Question


class Review(ModalScreen[str | None]):
    """One of several answers; escape is none of them."""

    DEFAULT_CSS = """
    Review { align: center middle; background: $background 60%; }
    Review > Vertical {
        width: 92%; max-width: 130; height: auto; max-height: 86%; padding: 0 1;
        background: $background; border: round $focus;
    }
    Review TextView { height: auto; }
    Review Question { background: $background; margin: 1 0 0 0; }
    """

    def __init__(self, title: str, text: Block, choices: Sequence[Choice], default: str) -> None:
        super().__init__()
        at = next((i for i, choice in enumerate(choices) if choice.id == default), 0)
        self.title_text = inert(title)
        self.text = text
        self.view = TextView()
        self.question = Question("", [], choices, at)
        self.question.ground = "@background"

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = Content(self.title_text)
            yield self.view
            yield self.question

    def on_mount(self) -> None:
        self.view.show_text(self.text)
        self._fit()

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        """The text takes the rows it has, and scrolls where the screen has fewer."""
        most = self.size.height * 86 // 100 - 5
        self.view.styles.height = max(1, min(len(self.text), most))

    def on_key(self, event: events.Key) -> None:
        event.stop()
        page = self.view.size.height - 1
        rows = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -page, "pagedown": page}
        if event.key in rows:
            self.view.scroll_rows(rows[event.key])
        elif event.key in ("left", "shift+tab", "h"):
            self.question.step(-1)
        elif event.key in ("right", "tab", "l"):
            self.question.step(1)
        elif event.key == "enter":
            self.dismiss(self.question.chosen.id)
        elif event.key in ("escape", "ctrl+c", "q"):
            self.dismiss(None)

    def on_click(self, event: events.Click) -> None:
        choice = self.question.choice_at(event)
        if choice is not None:
            self.dismiss(choice.id)
