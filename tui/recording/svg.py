"""A screen as SVG: text as text, pictures as shapes, nothing loaded from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from rich.cells import cell_len
from rich.color import Color
from rich.segment import Segment
from rich.style import Style

from .shapes import BLOCKS, CELL_H, CELL_W, HEAVY, LINES, block, braille, heavy, number, stroke

FONT_SIZE = 14
PADDING = 10.0
TITLE_BAR = 30.0
_FONTS = (
    "ui-monospace,'SF Mono',Menlo,'Cascadia Mono','JetBrains Mono','DejaVu Sans Mono',"
    "Consolas,'Liberation Mono',monospace"
)
_WORD = re.compile(r"\S+(?: \S+)*")
# Signs whose glyph may come from another font: each is centred in its own cell.
_SIGNS = set("●◐◌✖✔◉⏎↻▲▼◇◈○·×→←↑↓⊘▽⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏⇧└┘┌┐…")

Row = Sequence[Segment]


def _hex(color: Color | None, otherwise: str) -> str:
    if color is None or color.is_default:
        return otherwise
    return color.get_truecolor().hex


class _Writer:
    """Collects shapes by colour, and texts."""

    def __init__(self, background: str, foreground: str) -> None:
        self.background = background
        self.foreground = foreground
        self.fills: dict[str, list[str]] = {}
        self.blocks: dict[str, list[str]] = {}
        self.strokes: dict[str, list[str]] = {}
        self.dots: dict[str, list[str]] = {}
        self.texts: list[str] = []

    def row(self, segments: Row, y: int) -> None:
        """One row of the screen."""
        x = 0
        top = y * CELL_H
        for segment in segments:
            text = segment.text
            width = cell_len(text)
            style = segment.style or Style.null()
            fore = _hex(style.color, self.foreground)
            back = _hex(style.bgcolor, self.background)
            if style.reverse:
                fore, back = back, fore
            left = x * CELL_W
            if back != self.background:
                self.fills.setdefault(back, []).append(
                    f"M{number(left)} {number(top)}h{number(width * CELL_W)}"
                    f"v{number(CELL_H)}h-{number(width * CELL_W)}Z"
                )
            self._pieces(text, left, top, fore, style)
            x += width

    def _pieces(self, text: str, left: float, top: float, colour: str, style: Style) -> None:
        """Split a segment into pictures, signs and words."""
        plain = list(text)
        index = 0
        x = left
        for index, char in enumerate(text):
            if char in BLOCKS:
                self.blocks.setdefault(colour, []).append(block(char, x, top))
            elif char in HEAVY:
                self.blocks.setdefault(colour, []).append(heavy(char, x, top))
            elif char in LINES:
                self.strokes.setdefault(colour, []).append(stroke(char, x, top))
            elif "⠀" <= char <= "⣿":
                pass
            elif char in _SIGNS or not char.isascii():
                self._text(char, x, top, colour, style, centred=True)
            else:
                x += CELL_W
                continue
            plain[index] = " " if cell_len(char) == 1 else "  "
            x += CELL_W * cell_len(char)
        for match in re.finditer("[⠁-⣿⠀]+", text):
            start = left + cell_len(text[: match.start()]) * CELL_W
            dots = braille(match.group(), start, top)
            if dots:
                self.dots.setdefault(colour, []).append(dots)
        for match in _WORD.finditer("".join(plain)):
            self._text(match.group(), left + match.start() * CELL_W, top, colour, style)

    def _text(
        self, text: str, x: float, top: float, colour: str, style: Style, *, centred: bool = False
    ) -> None:
        names = [
            n for n, on in (("b", style.bold), ("i", style.italic), ("u", style.underline)) if on
        ]
        extra = f' class="{" ".join(names)}"' if names else ""
        if centred:
            x += CELL_W * cell_len(text) / 2
            extra += ' text-anchor="middle"'
        elif len(text) > 1:
            extra += f' textLength="{number(len(text) * CELL_W)}"'
        self.texts.append(
            f'<text x="{number(x)}" y="{number(top + CELL_H * 0.76)}" fill="{colour}"{extra}>'
            f"{escape(text)}</text>"
        )

    def body(self) -> Iterable[str]:
        """Everything, from the back to the front."""
        for colour, paths in self.fills.items():
            yield f'<path fill="{colour}" d="{"".join(paths)}"/>'
        for colour, paths in self.blocks.items():
            yield f'<path fill="{colour}" d="{"".join(paths)}"/>'
        for colour, paths in self.strokes.items():
            yield f'<path class="s" stroke="{colour}" d="{"".join(paths)}"/>'
        for colour, paths in self.dots.items():
            yield f'<path class="d" stroke="{colour}" d="{"".join(paths)}"/>'
        yield from self.texts


def to_svg(
    rows: Sequence[Row], columns: int, *, title: str, background: str, foreground: str, bar: str
) -> str:
    """The rows of a screen in a window with a title bar."""
    writer = _Writer(background, foreground)
    for y, row in enumerate(rows):
        writer.row(row, y)
    width = columns * CELL_W + 2 * PADDING
    height = len(rows) * CELL_H + TITLE_BAR + PADDING
    lights = "".join(
        f'<circle cx="{18 + index * 18}" cy="15" r="5.5" fill="{colour}"/>'
        for index, colour in enumerate(("#ff6b6b", "#f5bf5b", "#5fd7a0"))
    )
    body = "\n".join(writer.body())
    return f"""<svg xmlns="http://www.w3.org/2000/svg" \
viewBox="0 0 {number(width)} {number(height)}" \
width="{number(width)}" height="{number(height)}">
<title>{escape(title)}</title>
<style>text{{font:{FONT_SIZE}px {_FONTS};white-space:pre}}\
.b{{font-weight:bold}}.i{{font-style:italic}}.u{{text-decoration:underline}}\
.s{{fill:none;stroke-width:1.1}}\
.d{{fill:none;stroke-width:2.4;stroke-linecap:round;stroke-dasharray:0 {CELL_W / 2:g}}}</style>
<rect width="100%" height="100%" rx="9" fill="{bar}"/>
<path d="M0 {TITLE_BAR:g}H{number(width)}V{number(height - 9)}q0 9 -9 9H9q-9 0 -9 -9Z" \
fill="{background}"/>
{lights}
<text x="{number(width / 2)}" y="20" fill="{foreground}" text-anchor="middle" \
class="b">{escape(title)}</text>
<g transform="translate({PADDING:g} {TITLE_BAR + 2:g})" font-size="{FONT_SIZE}">
{body}
</g>
</svg>
"""
