"""A text to read: describe and YAML. Searching marks the matches and goes from one to the next."""

from __future__ import annotations

import re

from ..model.filter import pattern
from ..render.page import Page
from ..render.spans import Block, Line, marked, shifted
from .sheet import Sheet


class TextView(Sheet):
    """Shows a fixed block of lines."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._text: Block = []
        self._pattern: re.Pattern[str] | None = None
        self.search = ""
        self.left = 0

    def show_text(self, lines: Block) -> None:
        """Another text, from its beginning."""
        self.left = 0
        self.set_search("")
        self._text = lines
        self.show(self._draw)

    def replace(self, lines: Block) -> None:
        """The same text in a newer version: the place in it stays."""
        self._text = lines
        self.update()

    def _draw(self, width: int, height: int, target: str) -> Page:
        return Page([((" ", "text"), *row) for row in self._text])

    def row(self, y: int) -> Line:
        spans = super().row(y)
        if self.left:
            spans = shifted(spans, self.left)
        return marked(spans, self._pattern) if self._pattern is not None else spans

    def set_search(self, text: str) -> None:
        """Mark what matches, and show the first match from here on."""
        self.search = text
        self._pattern = pattern(text) if text else None
        if self._pattern is not None:
            self.next_match(1, self.top)
        self.refresh()

    def matches(self) -> list[int]:
        """Rows that match."""
        if self._pattern is None:
            return []
        return [
            y
            for y, row in enumerate(self._text)
            if self._pattern.search("".join(text for text, _ in row))
        ]

    def next_match(self, step: int, start: int | None = None) -> None:
        """Scroll to the next (or the one before) match."""
        rows = self.matches()
        if not rows:
            return
        here = self.top if start is None else start - step
        ahead = [y for y in rows if (y > here if step > 0 else y < here)]
        row = (
            (ahead[0] if step > 0 else ahead[-1]) if ahead else (rows[0] if step > 0 else rows[-1])
        )
        self.top = max(0, min(row, len(self._text) - self.size.height))
        self.refresh()

    def scroll_sideways(self, count: int) -> None:
        """Move by cells."""
        self.left = max(0, self.left + count)
        self.refresh()
