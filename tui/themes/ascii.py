"""The screen in ASCII, for terminals whose locale or font has no more.

Every sign of ours takes one cell and so does its stand-in: nothing moves.
"""

from __future__ import annotations

import locale
import os
from collections.abc import Mapping

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_PAIRS = {
    "●◉■◆▣": "*",
    "◐◑○◇□": "o",
    "◌·•": ".",
    "✖✗×": "x",
    "✔✓": "v",
    "▲△": "^",
    "▼▽▾": "v",
    "▶▸►›": ">",
    "◀◂‹": "<",
    "→⇒⟶": ">",
    "←": "<",
    "↑": "^",
    "↓": "v",
    "⇄↻⊘": "~",
    "⏎": "/",
    "⇧": "^",
    "─━═╌┄╴╶╸╺": "-",
    "│┃║┆╎▏▎▍▌▐▕": "|",
    "┌┐└┘├┤┬┴┼╭╮╰╯╔╗╚╝┏┓┗┛┿╋": "+",
    "▁▂": "_",
    "▃▄▅": "=",
    "▆▇█▊▉▋": "#",
    "▮": "|",
    "…": "~",
    "–—": "-",
    "µ": "u",
    "≤": "<",
    "≥": ">",
    "“”„": '"',
    "’‘": "'",
}
_TABLE: dict[int, str] = {ord(sign): plain for signs, plain in _PAIRS.items() for sign in signs}
_SHADES = " .:-=+*#"
"""Braille by the number of its dots."""
_TABLE |= {0x2800 + dots: _SHADES[min(7, dots.bit_count())] for dots in range(256)}
# Control pictures: the letter that the control has in caret notation.
_TABLE |= {0x2400 + code: chr(0x40 + code) for code in range(0x20)} | {0x2421: "?"}


class Ascii(LineFilter):
    """Passes on ASCII alone; what has no stand-in becomes a question mark for each of its cells."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment if segment.text.isascii() else segment._replace(text=plain(segment.text))
            for segment in segments
        ]


def plain(text: str) -> str:
    """The same text in ASCII, of the same width."""
    text = text.translate(_TABLE)
    if text.isascii():
        return text
    return "".join(char if char.isascii() else "?" * cell_len(char) for char in text)


def wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """By $PODARIUM_ASCII, else where the locale's characters are not those of Unicode."""
    said = environment.get("PODARIUM_ASCII")
    if said is not None:
        return said not in ("", "0", "no", "false")
    return "utf" not in locale.getpreferredencoding(False).lower()
