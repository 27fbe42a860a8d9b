"""A page: lines, and the stretches of them that stand for objects and can be chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .spans import Block


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
