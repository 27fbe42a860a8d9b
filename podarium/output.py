"""Text from containers on its way out: to a pipe as it is, to a terminal as text.

kubectl writes to a terminal whatever a container wrote, and so lets it set the title, move the
cursor over what stands there, or fill the clipboard (OSC 52). Here colours (ECMA-48 SGR) and tabs
pass, and every other control becomes visible. Who needs the bytes pipes them: `| cat`.
"""

from __future__ import annotations

import re
import sys

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
