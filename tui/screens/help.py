"""All keys of a view, by group, from the commands' own declarations; typing filters them."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from ..commands.command import Command, key_sign
from ..render.page import Page
from ..render.spans import EMPTY, Block, Line, beside, cells, crop
from ..render.text import inert
from ..widgets.sheet import Sheet


def help_page(commands: Sequence[Command], wanted: str, width: int) -> Page:
    """The commands in as many columns as fit."""
    groups: dict[str, list[Command]] = {}
    for command in commands:
        text = f"{command.title} {command.help} {' '.join(map(key_sign, command.keys))}"
        if command.keys and wanted.lower() in text.lower():
            groups.setdefault(command.group, []).append(command)
    columns = 3 if width >= 110 else 2 if width >= 64 else 1
    size = (width - 2 * (columns - 1)) // columns
    stacks: list[Block] = [[] for _ in range(columns)]
    for name, members in groups.items():
        shortest = min(stacks, key=len)
        shortest.append(((name.upper(), "accent bold"),))
        shortest += [_row(command, size) for command in members]
        shortest.append(EMPTY)
    head: Line = (
        (" /", "accent bold"),
        (wanted or "type to filter", "bright" if wanted else "faint"),
    )
    if not groups:
        return Page([head, EMPTY, ((f" nothing matches {wanted!r}", "warn"),)])
    return Page([head, EMPTY, *beside(stacks, [size] * columns, 2)])


def _row(command: Command, width: int) -> Line:
    signs = " ".join(key_sign(key) for key in command.keys[:2])
    pad = " " * max(1, 11 - cells(signs))
    return ((f" {signs}{pad}", "key"), (crop(command.help, width - 12), "text"))


class Help(ModalScreen[None]):
    """The help page."""

    DEFAULT_CSS = """
    Help { align: center middle; background: $background 60%; }
    Help > Vertical {
        width: 94%; max-width: 150; height: 90%;
        border: round $focus; background: $background; padding: 0 1;
    }
    """

    def __init__(self, commands: Sequence[Command], problems: Sequence[str] = ()) -> None:
        super().__init__()
        self.commands = commands
        self.problems = problems
        self.wanted = ""
        self.sheet = Sheet()

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = "keys"
            frame.border_subtitle = "podarium keymap: how to change them · esc closes"
            yield self.sheet

    def on_mount(self) -> None:
        self.sheet.show(lambda width, height, target: self._page(width))

    def _page(self, width: int) -> Page:
        page = help_page(self.commands, self.wanted, width)
        told = [((f" ▲ {inert(problem)}", "warn"),) for problem in self.problems]
        return Page([*told, *page.lines])

    def on_key(self, event: events.Key) -> None:
        event.stop()
        if event.key in ("escape", "ctrl+c") or (event.key == "question_mark" and not self.wanted):
            if self.wanted and event.key == "escape":
                self.wanted = ""
            else:
                self.dismiss(None)
                return
        elif event.key in ("down", "up"):
            self.sheet.scroll_rows(1 if event.key == "down" else -1)
            return
        elif event.key in ("pagedown", "pageup"):
            self.sheet.scroll_rows(self.sheet.size.height * (1 if event.key == "pagedown" else -1))
            return
        elif event.key == "backspace":
            self.wanted = self.wanted[:-1]
        elif event.character and event.character.isprintable():
            self.wanted += event.character
        self.sheet.top = 0
        self.sheet.update()
