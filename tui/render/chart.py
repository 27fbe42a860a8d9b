"""A framed braille chart: axis, gradient, limit line, marks, the newest value in its title."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from .bars import STEPS
from .braille import BLANK, area, nice_top
from .spans import Block, Line, Span, boxed

AXIS = 7
"""Cells of the axis at the left."""
CALM = 0.55
"""How far up its colours a chart goes that has nothing to be hot against."""

Format = Callable[[float], str]


def scale_top(
    values: Sequence[float], limit: float | None, floor: float, *, binary: bool = False
) -> float:
    """The value at the upper edge: above the limit when it is near, else above the peak."""
    peak = max((value for value in values if value == value), default=0.0)
    if limit and peak >= limit * 0.3:
        return max(limit * 1.2, peak * 1.05)
    wanted = max(peak * 1.1, floor)
    return nice_top(wanted, _unit(wanted) if binary else 1.0)


def _unit(value: float) -> float:
    """The power of 1024 below a number of bytes."""
    unit = 1.0
    while value >= unit * 1024:
        unit *= 1024
    return unit


def plot(
    values: Sequence[float],
    width: int,
    height: int,
    top: float,
    scale: str,
    *,
    limit: float | None = None,
    marks: Sequence[int] = (),
    down: bool = False,
    hot: float | None = None,
) -> Block:
    """The bare area. `limit` draws a line; `marks` are ages in samples, drawn as crosses on top.

    `hot` is the value with the scale's hottest colour (the limit, a capacity); without one the
    colours stay calm.
    """
    reach = min(1.0, max(CALM, top / hot)) if hot else CALM
    rows = area(values, width, height, top, down=down)
    at = None
    if limit and limit <= top:
        at = max(0, min(height - 1, height - 1 - int(limit / top * height - 1e-9)))
    block: Block = []
    for index, row in enumerate(rows):
        level = index if down else height - 1 - index
        role = f"{scale}.{round(level / max(1, height - 1) * reach * (STEPS - 1))}"
        if index == at:
            block.append(_ruled(row, role))
        else:
            block.append(((row, role),))
    if marks and block:
        block[0] = _marked(block[0], width, marks)
    return block


def _ruled(row: str, role: str) -> Line:
    """A row of the chart with the limit's line wherever the area leaves room."""
    spans: list[Span] = []
    for char in row:
        text, style = ("╌", "limit") if char == BLANK else (char, role)
        if spans and spans[-1][1] == style:
            spans[-1] = (spans[-1][0] + text, style)
        else:
            spans.append((text, style))
    return tuple(spans)


def _marked(row: Line, width: int, marks: Sequence[int]) -> Line:
    cells_of = [(char, role) for text, role in row for char in text]
    for mark in marks:
        x = width - 1 - mark // 2
        if 0 <= x < len(cells_of):
            cells_of[x] = ("✖", "bad")
    return tuple(cells_of)


def axis_labels(height: int, top: float, bottom: float, show: Format) -> list[str]:
    """Labels for each row: the upper edge, the middle of tall charts, the lower edge."""
    labels = [""] * height
    labels[0] = show(top)
    labels[-1] = show(bottom)
    if height >= 7:
        labels[height // 2] = show(bottom + (top - bottom) * (height - 0.5 - height // 2) / height)
    return labels


def time_axis(width: int) -> Line:
    """`-2m … -1m … now`, two samples of a second a cell."""
    text = [" "] * width
    text[-3:] = "now"
    step = 30 if width > 30 else 15
    for x in range(width - step - 1, 2, -step):
        seconds = (width - 1 - x) * 2
        label = f"-{seconds // 60}m" if seconds % 60 == 0 else f"-{seconds}s"
        text[x - len(label) + 1 : x + 1] = label
    return (("".join(text[:width]), "faint"),)


def chart(
    values: Sequence[float],
    width: int,
    height: int,
    *,
    title: str,
    scale: str,
    show: Format,
    unit: str = "",
    limit: float | None = None,
    hot: float | None = None,
    note: Sequence[Span] = (),
    floor: float = 0.1,
    marks: Sequence[int] = (),
) -> Block:
    """A chart in a frame of exactly width x height cells."""
    inside = width - 4 - AXIS - 1
    body_rows = height - 2
    has_time = body_rows >= 5
    rows = body_rows - has_time
    seen = list(values[-inside * 2 :])
    top = scale_top(seen, limit, floor, binary=floor >= 1024)
    last = values[-1] if values else math.nan
    head: list[Span] = [(title, "bright bold")]
    if last == last:
        head += [("  ", "text"), (show(last), f"{scale}.3 bold")]
        head += [(f" {unit}", "dim")] if unit else []
    elif not any(value == value for value in seen):
        head += [("  no numbers yet", "faint")]
    lines = plot(seen, inside, rows, top, scale, limit=limit, marks=marks, hot=hot or limit)
    labels = axis_labels(rows, top, 0.0, show)
    body: Block = [
        ((label.rjust(AXIS - 1) + " ", "faint"), ("│", "line"), *row)
        for label, row in zip(labels, lines, strict=True)
    ]
    if has_time:
        body.append(((" " * AXIS, "faint"), ("╵", "line"), *time_axis(inside)))
    return boxed(body, width, title=head, note=note, height=height)


def mirrored(
    upper: Sequence[float],
    lower: Sequence[float],
    width: int,
    height: int,
    *,
    title: str,
    show: Format,
    names: tuple[str, str],
    floor: float = 1.0,
) -> Block:
    """Two series back to back in one frame: `upper` grows up, `lower` hangs down."""
    inside = width - 4 - AXIS - 1
    rows = height - 2
    up, down = (rows + 1) // 2, rows // 2
    tail = inside * 2
    peak = max((v for v in (*upper[-tail:], *lower[-tail:]) if v == v), default=0.0)
    top = scale_top((peak,), None, floor, binary=floor >= 1024)
    head: list[Span] = [(title, "bright bold")]
    for name, values in zip(names, (upper, lower), strict=True):
        if values and values[-1] == values[-1]:
            head += [(f"  {name} ", "dim"), (show(values[-1]), "net.4 bold")]
    block = plot(upper, inside, up, top, "net") + plot(lower, inside, down, top, "net", down=True)
    labels = [show(top)] + [""] * (rows - 2) + [show(top)]
    body: Block = [
        ((label.rjust(AXIS - 1) + " ", "faint"), ("│", "line"), *row)
        for label, row in zip(labels, block, strict=True)
    ]
    return boxed(body, width, title=head, height=height)
