"""Characters that are pictures, as vector paths: blocks, braille, lines.

Fonts disagree on these characters, and an SVG shown in a page can load no font of its own. Drawn as
shapes they look the same everywhere, and meet without seams.
"""

from __future__ import annotations

CELL_W = 8.4
CELL_H = 17.0

Box = tuple[float, float, float, float]
"""Left, top, right, bottom as fractions of a cell."""

_LOWER = "▁▂▃▄▅▆▇█"
_LEFT = "▏▎▍▌▋▊▉"
BLOCKS: dict[str, Box] = {
    **{char: (0, 1 - (i + 1) / 8, 1, 1) for i, char in enumerate(_LOWER)},
    **{char: (0, 0, (i + 1) / 8, 1) for i, char in enumerate(_LEFT)},
    "▐": (0.5, 0, 1, 1),
    "▕": (0.8, 0, 1, 1),
    "■": (0.12, 0.3, 0.88, 0.7),
}

# Strokes from the middle of a cell: to the left, the right, the top, the bottom.
_ARMS = {
    "─": "lr",
    "│": "tb",
    "├": "tbr",
    "┤": "tbl",
    "┬": "lrb",
    "┴": "lrt",
    "┼": "lrtb",
    "╵": "t",
    "╷": "b",
    "╴": "l",
    "╶": "r",
}
_HEAVY = {"━": (0.0, 1.0), "╸": (0.0, 0.5), "╺": (0.5, 1.0)}
TICK = "┿"
_CORNERS = {"╭": (1, 1), "╮": (-1, 1), "╰": (1, -1), "╯": (-1, -1)}
DASHED = "╌"

LINES = {*_ARMS, *_CORNERS, DASHED}
HEAVY = {*_HEAVY, TICK}


def number(value: float) -> str:
    """A coordinate with as few digits as it needs."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def block(char: str, x: float, y: float) -> str:
    """The filled path of a block element whose cell is at x, y."""
    left, top, right, bottom = BLOCKS[char]
    return (
        f"M{number(x + left * CELL_W)} {number(y + top * CELL_H)}"
        f"H{number(x + right * CELL_W)}V{number(y + bottom * CELL_H)}"
        f"H{number(x + left * CELL_W)}Z"
    )


def stroke(char: str, x: float, y: float) -> str:
    """The stroked path of a line-drawing character."""
    middle, centre = x + CELL_W / 2, y + CELL_H / 2
    if char == DASHED:
        return (
            f"M{number(x + 1)} {number(centre)}H{number(x + 3.4)}"
            f"M{number(x + 5.2)} {number(centre)}H{number(x + 7.6)}"
        )
    if char in _CORNERS:
        right, down = _CORNERS[char]
        end = middle + right * CELL_W / 2
        return (
            f"M{number(middle)} {number(centre + down * CELL_H / 2)}"
            f"Q{number(middle)} {number(centre)} {number(end)} {number(centre)}"
        )
    path = ""
    arms = _ARMS[char]
    if "l" in arms or "r" in arms:
        start = x if "l" in arms else middle
        end = x + CELL_W if "r" in arms else middle
        path += f"M{number(start)} {number(centre)}H{number(end)}"
    if "t" in arms or "b" in arms:
        start = y if "t" in arms else centre
        end = y + CELL_H if "b" in arms else centre
        path += f"M{number(middle)} {number(start)}V{number(end)}"
    return path


def heavy(char: str, x: float, y: float) -> str:
    """The filled path of a heavy line."""
    if char == TICK:
        left, top = x + CELL_W / 2 - 1.1, y + CELL_H * 0.18
        return f"M{number(left)} {number(top)}h2.2v{number(CELL_H * 0.64)}h-2.2Z"
    start, end = _HEAVY[char]
    top = y + CELL_H / 2 - 1.6
    return (
        f"M{number(x + start * CELL_W)} {number(top)}H{number(x + end * CELL_W)}"
        f"v3.2H{number(x + start * CELL_W)}Z"
    )


# The dots of a braille cell by bit: column, row.
_DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))


def braille(text: str, x: float, y: float) -> str:
    """Dots of a run of braille as horizontal strokes, to be dashed by half a cell.

    Dots next to each other become one stroke: an area costs a few bytes a row, not a few a dot.
    """
    grid = [[False] * (len(text) * 2) for _ in range(4)]
    for index, char in enumerate(text):
        bits = ord(char) - 0x2800
        for bit, (column, row) in enumerate(_DOTS):
            if bits >> bit & 1:
                grid[row][index * 2 + column] = True
    path = []
    half = CELL_W / 2
    for row, cells in enumerate(grid):
        level = number(y + (row + 0.5) * CELL_H / 4)
        start = None
        for column, on in enumerate([*cells, False]):
            if on and start is None:
                start = column
            elif not on and start is not None:
                left = x + (start + 0.5) * half
                right = x + (column - 0.5) * half + 0.01
                path.append(f"M{number(left)} {level}H{number(right)}")
                start = None
    return "".join(path)
