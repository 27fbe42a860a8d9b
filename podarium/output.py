"""Text from containers on its way out: to a pipe as it is, to a terminal as text.

kubectl writes to a terminal whatever a container wrote, and so lets it set the title, move the
cursor over what stands there, or fill the clipboard (OSC 52). Here colours (ECMA-48 SGR) and tabs
pass, and every other control becomes visible. Who needs the bytes pipes them: `| cat`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Sequence

import click

from tui.render.text import inert

_KEPT = re.compile(r"(\x1b\[[0-9;:]*m|[\t\n])")
_PLAIN = "\x1b[0m"


def tame(text: str) -> str:
    """`text` with nothing that steers a terminal but colours, which end with it."""
    pieces = _KEPT.split(text)
    coloured = any(piece.startswith("\x1b") for piece in pieces[1::2])
    pieces[::2] = map(inert, pieces[::2])
    return "".join(pieces) + (_PLAIN if coloured else "")


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
