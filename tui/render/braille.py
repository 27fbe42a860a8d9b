"""Charts drawn with braille: two samples a cell across, four dots a cell up.

A row is one string in one style (the gradient goes from the bottom to the top), which keeps a chart
at one segment a line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

# Dots of a column filled from below (and from above): 0 to 4 of them.
_LEFT_UP = (0x00, 0x40, 0x44, 0x46, 0x47)
_RIGHT_UP = (0x00, 0x80, 0xA0, 0xB0, 0xB8)
_LEFT_DOWN = (0x00, 0x01, 0x03, 0x07, 0x47)
_RIGHT_DOWN = (0x00, 0x08, 0x18, 0x38, 0xB8)
_UP = tuple(tuple(chr(0x2800 + a + b) for b in _RIGHT_UP) for a in _LEFT_UP)
_DOWN = tuple(tuple(chr(0x2800 + a + b) for b in _RIGHT_DOWN) for a in _LEFT_DOWN)
BLANK = "⠀"

_EIGHTHS = "▁▂▃▄▅▆▇"
"""One below a full cell, so that sparklines in rows above each other stay apart."""


def dots(value: float, top: float, rows: int) -> int:
    """Height of a sample in dots: at least one for anything above nothing, NaN is no sample."""
    if not value > 0 or top <= 0:
        return 0
    return min(rows * 4, max(1, round(value / top * rows * 4)))


def area(
    values: Sequence[float], width: int, height: int, top: float, *, down: bool = False
) -> list[str]:
    """The last 2*width samples as an area of width x height cells, newest at the right.

    `top` is the value of the upper edge. With `down` the area hangs from the upper edge.
    """
    room = width * 2
    heights = [dots(value, top, height) for value in values[-room:]]
    heights = [0] * (room - len(heights)) + heights
    table = _DOWN if down else _UP
    rows = []
    for row in range(height):
        below = (row if down else height - 1 - row) * 4
        rows.append(
            "".join(
                table[min(4, max(0, left - below))][min(4, max(0, right - below))]
                for left, right in zip(heights[::2], heights[1::2], strict=True)
            )
        )
    return rows


def spark(values: Sequence[float], width: int, top: float) -> str:
    """One line of eighth blocks, one sample a cell; what is missing is blank."""
    row = []
    for value in values[-width:]:
        if math.isnan(value):
            row.append(" ")
        else:
            row.append(_EIGHTHS[min(6, max(0, math.ceil(value / top * 7) - 1))] if top > 0 else "▁")
    return "".join(row).rjust(width)


_STEPS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


def nice_top(value: float, unit: float = 1.0) -> float:
    """The next round number at or above `value`, counted in `unit`: calm axes."""
    if not value > 0:
        return unit
    value /= unit
    power = 10.0 ** math.floor(math.log10(value))
    step = next((step for step in _STEPS if value <= step * power * 1.0000001), 10.0)
    return step * power * unit
