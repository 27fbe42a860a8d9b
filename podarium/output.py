"""Text from containers on its way out: to a pipe as it is, to a terminal as text.

kubectl writes to a terminal whatever a container wrote, and so lets it set the title, move the
cursor over what stands there, or fill the clipboard (OSC 52). Here colours (ECMA-48 SGR) and tabs
pass, and every other control becomes visible. Who needs the bytes pipes them: `| cat`.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Collection, Sequence

import click

from engine.client.terminal import show
from tui.render.text import inert

_KEPT = re.compile(r"(\x1b\[[0-9;:]*m|[\t\n])")
_PLAIN = "\x1b[0m"
# A colour, or the end of a line, of which only the beginning is there.
_BEGUN = re.compile(r"(\x1b(\[[0-9;:]{0,32})?|\r)$")


def tame(text: str) -> str:
    """`text` with nothing that steers a terminal but colours, which end with it."""
    pieces = _KEPT.split(text)
    coloured = any(piece.startswith("\x1b") for piece in pieces[1::2])
    pieces[::2] = map(inert, pieces[::2])
    return "".join(pieces) + (_PLAIN if coloured else "")


class Tamed:
    """A stream of text on its way to a terminal, in pieces that may end anywhere."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._coloured = False

    def feed(self, data: bytes, *, final: bool = False) -> str:
        text = self._held + self._decoder.decode(data, final)
        begun = None if final else _BEGUN.search(text)
        text, self._held = (text[: begun.start()], begun[0]) if begun else (text, "")
        pieces = _KEPT.split(text.replace("\r\n", "\n"))
        self._coloured = self._coloured or any(p.startswith("\x1b") for p in pieces[1::2])
        pieces[::2] = map(inert, pieces[::2])
        return "".join(pieces) + (_PLAIN if final and self._coloured else "")


class Screen:
    """Our outputs for what a process elsewhere says. `raw`: it was given our terminal, and may do
    with it what it likes; else a terminal is sent text only."""

    def __init__(self, *, raw: bool) -> None:
        self._tamed = {fd: Tamed() for fd in (1, 2) if not raw and os.isatty(fd)}

    def show(self, fd: int, data: bytes) -> None:
        """Empty data: there will be no more."""
        tamed = self._tamed.get(fd)
        if tamed is not None:
            data = tamed.feed(data, final=not data).encode()
        show(fd, data)


def write_line(line: bytes) -> None:
    """A line of a log, without its newline, to standard output."""
    if sys.stdout.isatty():
        line = tame(line.removesuffix(b"\r").decode(errors="replace")).encode()
    sys.stdout.buffer.write(line + b"\n")


def print_table(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> None:
    """Rows in aligned columns, the first being the heads; the columns in `right` at their right
    edge. Cells are made inert; those of the last column may be styled."""
    plain = [[inert(cell) for cell in row[:-1]] for row in rows]
    widths = [max(map(len, column)) for column in zip(*plain, strict=True)]
    for cells, row in zip(plain, rows, strict=True):
        padded = [
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        click.echo("  ".join([*padded, row[-1]]).rstrip())


def bytes_text(size: int) -> str:
    """Bytes as registries and disks count them: 512 B, 41.2 kB, 1.50 GB."""
    if size < 1000:
        return f"{size} B"
    amount, unit = float(size), "B"
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= 1000
        if amount < 999.5 or unit == "TB":
            break
    digits = 2 if amount < 9.995 else 1 if amount < 99.95 else 0
    return f"{amount:.{digits}f} {unit}"
