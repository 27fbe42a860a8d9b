"""Things of which each is wanted or not, over the main screen."""

from __future__ import annotations

from collections.abc import Mapping

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from ..render.page import Page
from ..render.spans import Line
from ..render.text import inert
from ..widgets.sheet import Sheet


class Checklist(ModalScreen[dict[str, bool] | None]):
    """Space turns the one under the cursor on or off, Enter accepts, Escape changes nothing."""

    DEFAULT_CSS = """
    Checklist { align: center middle; background: $background 60%; }
    Checklist > Vertical {
        width: 44; max-width: 90%; height: auto; max-height: 86%; padding: 0 1;
        background: $background; border: round $focus;
    }
    """

    def __init__(self, title: str, things: Mapping[str, bool]) -> None:
        super().__init__()
        self.title_text = inert(title)
        self.things = dict(things)
        self.at = 0
        self.sheet = Sheet()

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = Content(self.title_text)
            frame.border_subtitle = "space turns on and off · ⏎ done · esc as before"
            yield self.sheet

    def on_mount(self) -> None:
        self.sheet.styles.height = len(self.things)
        self.sheet.show(lambda width, height, target: Page([*map(self._row, self.things)]))

    def _row(self, name: str) -> Line:
        here = name == list(self.things)[self.at]
        sign, role = ("◉", "ok") if self.things[name] else ("○", "faint")
        ground = " @cursor" if here else ""
        return ((f" {sign} ", role + ground), (inert(name).ljust(40), f"text{ground}"))

    def on_key(self, event: events.Key) -> None:
        event.stop()
        names = list(self.things)
        if event.key in ("up", "k"):
            self.at = max(0, self.at - 1)
        elif event.key in ("down", "j"):
            self.at = min(len(names) - 1, self.at + 1)
        elif event.key == "space":
            self.things[names[self.at]] = not self.things[names[self.at]]
        elif event.key == "enter":
            self.dismiss(self.things)
        elif event.key in ("escape", "ctrl+c", "q"):
            self.dismiss(None)
        self.sheet.update()
