"""A column of a list, declared once: heading, width, order, how a cell looks.

Columns have a rank: when the screen is narrow those with the highest rank go first, and the column
of width 0 takes what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..render.spans import EMPTY, Line, crop, crop_middle, pad
from .cluster import Cluster

GAP, NARROW_GAP = 2, 1
NARROW = 90
"""Cells below which columns move closer together."""

Sort = Callable[[Cluster, Any], Any]
Draw = Callable[[Cluster, Any, int], Line]


@dataclass(frozen=True)
class Column:
    """One column."""

    head: str
    width: int
    """Cells; 0 takes the rest of the row."""
    sort: Sort
    """What it orders by: text, or a number (never None)."""
    draw: Draw | None = None
    """Its cell; the sort value as text when absent."""
    right: bool = False
    rank: int = 1
    key: str = ""
    """The capital letter that sorts by it."""
    live: bool = False
    """Whether it changes from second to second."""
    down: bool = False
    """Whether the largest comes first when it is chosen to sort by."""
    minimum: int = 22
    """Least width of a column of width 0 before others make room."""
    tight: bool = False
    """Whether it stands close to the column before it."""

    def cell(self, cluster: Cluster, obj: Any, width: int) -> Line:
        """The cell of an object, at most `width` cells wide."""
        if self.draw is not None:
            return self.draw(cluster, obj, width)
        return ((crop(str(self.sort(cluster, obj)), width), "text"),)


Layout = tuple[tuple[Column, int], ...]


def layout(columns: Sequence[Column], width: int) -> Layout:
    """The columns that fit into `width` cells, each with its width."""
    gap = gap_of(width)
    chosen = list(columns)
    while True:
        fixed = sum(column.width for column in chosen) + sum(
            1 if column.tight else gap for column in chosen[1:]
        )
        flexible = [column for column in chosen if column.width == 0]
        room = width - fixed
        if not flexible or room >= sum(c.minimum for c in flexible) or len(chosen) == 1:
            break
        worst = max(chosen, key=lambda column: column.rank)
        if worst.rank <= 1:
            break
        chosen.remove(worst)
    share, rest = divmod(max(0, room), max(1, len(flexible)))
    out = []
    for column in chosen:
        size = column.width
        if size == 0:
            size, rest = share + rest, 0
        out.append((column, size))
    return tuple(out)


def gap_of(width: int) -> int:
    """Cells between columns in a list of `width`."""
    return NARROW_GAP if width < NARROW else GAP


def join(pieces: Sequence[tuple[Column, int, Line]], gap: int) -> Line:
    """Cells side by side, each padded to its column."""
    spans: list[tuple[str, str]] = []
    for index, (column, width, cell) in enumerate(pieces):
        if index:
            spans.append((" " if column.tight else " " * gap, "text"))
        spans.extend(pad(cell, width, right=column.right) if width > 0 else EMPTY)
    return tuple(spans)


def name_cell(text: str, width: int) -> Line:
    """A name whose both ends stay readable."""
    return ((crop_middle(text, width), "text"),)


def quiet(text: str, width: int) -> Line:
    """Something of less weight."""
    return ((crop(text, width), "dim"),)
