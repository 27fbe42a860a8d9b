"""The live list: a window on ten thousand rows that draws only what is seen.

It asks its view for rows when it paints, keeps its own offset and draws its own scroll bar. The
cursor belongs to an object, not to a row number: rows may come and go around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from textual import events
from textual.geometry import Region
from textual.message import Message

from ..render.spans import EMPTY, Line, Span, pad
from .surface import Surface


class Rows(Protocol):
    """What a table shows."""

    order: list[str]

    def head(self, width: int) -> Line: ...

    def cells(self, key: str, width: int) -> Line: ...

    def picture(self, width: int, height: int) -> list[Line]:
        """What to show instead of rows when there are none."""
        ...


class Table(Surface, can_focus=True):
    """Shows a `Rows`."""

    @dataclass
    class Moved(Message):
        """The cursor is on another object."""

        key: str

    @dataclass
    class Opened(Message):
        """A second click on the row under the cursor."""

        key: str

    @dataclass
    class HeadClicked(Message):
        """A click on the heading, at a cell."""

        x: int

    def __init__(self, view: Rows, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view = view
        self.key = ""
        self.top = 0
        self._index = 0

    @property
    def body_height(self) -> int:
        return max(1, self.size.height - 1)

    @property
    def index(self) -> int:
        """The row of the cursor."""
        order = self.view.order
        if self._index < len(order) and order[self._index] == self.key:
            return self._index
        return self.settle()

    def settle(self) -> int:
        """Find the cursor's object again after the order changed; stay near when it is gone."""
        order = self.view.order
        previous = self._index
        try:
            self._index = order.index(self.key)
        except ValueError:
            self._index = max(0, min(previous, len(order) - 1))
            self._take(order[self._index] if order else "")
        # Rows that came or went above leave the cursor where the eye has it.
        self.top += self._index - previous
        self._reveal()
        return self._index

    def _take(self, key: str) -> None:
        if key != self.key:
            self.key = key
            self.post_message(self.Moved(key))

    def _reveal(self) -> None:
        height = self.body_height
        self.top = min(self.top, self._index)
        self.top = max(self.top, self._index - height + 1)
        self.top = max(0, min(self.top, len(self.view.order) - height))

    def show(self, view: Rows, key: str = "") -> None:
        """Another list, with the cursor on `key`."""
        self.view = view
        self.top = 0
        self._index = 0
        self.key = key
        if key in view.order:
            self._index = view.order.index(key)
        elif view.order:
            self.key = view.order[0]
        self._reveal()
        self.post_message(self.Moved(self.key))
        self.repaint()

    def update(self) -> None:
        """Rows changed: paint those that differ and are seen."""
        self.settle()
        self.repaint()

    def row(self, y: int) -> Line:
        width, height = self.size
        if y == 0:
            return pad(self.view.head(width), width)
        order = self.view.order
        if not order:
            picture = self.view.picture(width, height - 1)
            return picture[y - 1] if y <= len(picture) else EMPTY
        cursor = self.index
        index = self.top + y - 1
        if index >= len(order):
            return EMPTY
        spans = pad(self.view.cells(order[index], width - 1), width - 1)
        if index == cursor:
            ground = " @cursor" if self.has_focus else " @cursor-idle"
            spans = tuple(
                (text, role if "@" in role else _lit(role) + ground) for text, role in spans
            )
        return (*spans, self._bar(y - 1))

    def _bar(self, y: int) -> Span:
        """The scroll bar's cell in a row of the body."""
        body, count = self.body_height, len(self.view.order)
        if count <= body:
            return (" ", "text")
        size = max(1, body * body // count)
        start = round((body - size) * self.top / (count - body))
        return ("▐", "faint" if start <= y < start + size else "track")

    # -- movement ----------------------------------------------------------------------------

    def move_to(self, index: int) -> None:
        """Put the cursor on a row."""
        order = self.view.order
        if not order:
            return
        old_row, old_top = self.index - self.top, self.top
        self._index = max(0, min(len(order) - 1, index))
        self._take(order[self._index])
        self._reveal()
        if self.top != old_top:
            self.refresh()
        elif self._index - self.top != old_row:
            width = self.size.width
            self.refresh(
                Region(0, old_row + 1, width, 1), Region(0, self._index - self.top + 1, width, 1)
            )

    def move(self, rows: int) -> None:
        """Move the cursor by rows."""
        self.move_to(self.index + rows)

    def move_page(self, pages: int) -> None:
        """Move the cursor by screens."""
        self.move(pages * self.body_height)

    def scroll_rows(self, rows: int) -> None:
        """Wheel: the window moves and takes the cursor along only at its edges."""
        height = self.body_height
        top = max(0, min(self.top + rows, len(self.view.order) - height))
        if top == self.top or not self.view.order:
            return
        index = self.index
        self.top = top
        self._index = max(top, min(index, top + height - 1))
        self._take(self.view.order[self._index])
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        event.stop()
        if event.y == 0:
            self.post_message(self.HeadClicked(event.x))
            return
        index = self.top + event.y - 1
        if index >= len(self.view.order):
            return
        if index == self.index:
            self.post_message(self.Opened(self.key))
        else:
            self.move_to(index)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_rows(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_rows(-3)

    def on_focus(self) -> None:
        self.repaint()

    def on_blur(self) -> None:
        self.repaint()


def _lit(role: str) -> str:
    """A role on the cursor row: faint text would drown there."""
    words = role.split()
    return " ".join(
        "text" if word in ("faint",) else "bright" if word == "text" else word for word in words
    )
