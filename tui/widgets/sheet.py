"""A page of lines that may be longer than the screen: details, overviews, text.

The page is a pure function of a width and a height. Parts of it can be targets: a hit is a stretch
of one line that the cursor can rest on, that Enter or a click opens.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.message import Message

from ..render.page import Hit, Page, Source
from ..render.spans import EMPTY, Line
from .surface import Surface


class Sheet(Surface, can_focus=True):
    """Shows the page that `source` draws for its size; scrolls by rows."""

    @dataclass
    class Opened(Message):
        """Enter or a click on a target."""

        target: str
        """What the page's author called the object."""

    @dataclass
    class Moved(Message):
        """The cursor went to another target."""

        target: str

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.source: Source = lambda width, height, target: Page()
        self.page = Page()
        self.top = 0
        self.target = ""
        """The target the cursor is on; empty when the page has none."""

    def show(self, source: Source, *, top: int = 0, target: str = "") -> None:
        """Another page, from its beginning."""
        self.source = source
        self.top = top
        self.target = target
        self.update()

    def update(self) -> None:
        """Draw the page again and paint what changed."""
        width, height = self.size
        if not width or not height:
            return
        self.page = self.source(width, height, self.target)
        self.top = max(0, min(self.top, len(self.page.lines) - height))
        targets = [hit.target for hit in self.page.hits]
        if targets and self.target not in targets:
            self.target = targets[0]
            self.page = self.source(width, height, self.target)
            self.post_message(self.Moved(self.target))
        self.repaint()

    def on_resize(self, event: events.Resize) -> None:
        self.update()

    def row(self, y: int) -> Line:
        index = self.top + y
        return self.page.lines[index] if index < len(self.page.lines) else EMPTY

    def scroll_rows(self, count: int) -> None:
        """Move the window by `count` rows."""
        top = max(0, min(self.top + count, len(self.page.lines) - self.size.height))
        if top != self.top:
            self.top = top
            self.refresh()

    # -- the cursor among targets ------------------------------------------------------------

    def move(self, dx: int, dy: int) -> bool:
        """Go to the nearest target in a direction; scroll when the page has no targets."""
        hits = self.page.hits
        here = next((hit for hit in hits if hit.target == self.target), None)
        if here is None:
            self.scroll_rows(dy)
            return False
        middle = here.x + here.width / 2

        def distance(hit: Hit) -> float:
            across = abs(hit.x + hit.width / 2 - middle)
            return abs(hit.y - here.y) * (1 if dx else 8) + across

        ahead = [
            hit
            for hit in hits
            if (dy and (hit.y - here.y) * dy > 0)
            or (dx and hit.y == here.y and (hit.x - here.x) * dx > 0)
        ]
        if not ahead:
            self.scroll_rows(dy)
            return False
        self.choose(min(ahead, key=distance))
        return True

    def next_target(self) -> None:
        """To the next target in reading order, around the end."""
        hits = self.page.hits
        if hits:
            here = next((i for i, hit in enumerate(hits) if hit.target == self.target), -1)
            self.choose(hits[(here + 1) % len(hits)])

    def choose(self, hit: Hit) -> None:
        """Put the cursor on a target and keep it in sight."""
        self.target = hit.target
        if hit.y < self.top:
            self.top = max(0, hit.y - 1)
        elif hit.y >= self.top + self.size.height:
            self.top = hit.y - self.size.height + 2
        self.post_message(self.Moved(hit.target))
        self.update()

    def hit_at(self, x: int, y: int) -> Hit | None:
        """The target under a cell of the widget."""
        row = y + self.top
        for hit in self.page.hits:
            if hit.y == row and hit.x <= x < hit.x + hit.width:
                return hit
        return None

    def on_click(self, event: events.Click) -> None:
        hit = self.hit_at(event.x, event.y)
        if hit is None:
            return
        event.stop()
        if hit.target == self.target:
            self.post_message(self.Opened(hit.target))
        else:
            self.choose(hit)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_rows(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_rows(-3)
