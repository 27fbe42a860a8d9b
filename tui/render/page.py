"""A page: lines, and the stretches of them that stand for objects and can be chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .spans import Block, Line, cells


@dataclass(frozen=True)
class Hit:
    """A stretch of one line that stands for an object."""

    y: int
    x: int
    width: int
    target: str
    """`kind:key` of the object."""


@dataclass
class Page:
    """Lines and what can be chosen on them."""

    lines: Block = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)

    def add(self, block: Block, hits: list[Hit] | None = None, x: int = 0) -> None:
        """Append a block; its hits count from the block's own corner."""
        y = len(self.lines)
        for hit in hits or ():
            self.hits.append(Hit(hit.y + y, hit.x + x, hit.width, hit.target))
        self.lines += block


Source = Callable[[int, int, str], Page]
"""Draws a page for a width, a height and the chosen target."""


def hits_in(spans: Line, y: int, marks: dict[int, str]) -> list[Hit]:
    """Hits for the spans of a line whose index is in `marks`."""
    hits = []
    x = 0
    for index, (text, _) in enumerate(spans):
        width = cells(text)
        if index in marks:
            hits.append(Hit(y, x, width, marks[index]))
        x += width
    return hits
