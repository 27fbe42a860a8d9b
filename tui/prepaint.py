"""The first picture: a skeleton of the dashboard in raw ANSI, before anything heavy is imported.

Importing Textual takes most of the time to the first real frame. The skeleton has the layout and
the colours of that frame, so that the screen seems to be there at once. Only sys and os are used.
"""

from __future__ import annotations

import os
import sys

# The dark palette's background, bar, line, dim and accent.
_BACKGROUND = "12;18;25"
_BAR = "20;29;40"
_LINE = "44;59;74"
_DIM = "132;150;168"
_ACCENT = "88;209;235"


def skeleton(columns: int, rows: int, cluster: str) -> str:
    """The escape sequences that paint the skeleton on the alternate screen."""
    back = f"\x1b[48;2;{_BACKGROUND}m"
    bar = f"\x1b[48;2;{_BAR}m"
    head = f" ◉ podarium  {cluster}  "
    top = f"{bar}\x1b[38;2;{_ACCENT}m{head}\x1b[38;2;{_DIM}m◌ starting"
    out = ["\x1b[?1049h\x1b[?25l\x1b[H", back]
    out.append(f"\x1b[1;1H{top}{' ' * max(0, columns - len(head) - 10)}")
    out.append(back)
    out.extend(f"\x1b[{row};1H\x1b[2K" for row in range(2, rows))
    width = min(76, columns - 4)
    left = (columns - width) // 2 + 1
    middle = max(3, rows // 2 - 5)
    out.append(f"\x1b[{middle};{left}H\x1b[38;2;{_LINE}m╭{'─' * (width - 2)}╮")
    for row in range(1, min(10, rows - middle - 2)):
        out.append(f"\x1b[{middle + row};{left}H│{' ' * (width - 2)}│")
    out.append(f"\x1b[{middle + min(10, rows - middle - 2)};{left}H╰{'─' * (width - 2)}╯")
    out.append(f"\x1b[{rows};1H{bar}{' ' * columns}\x1b[0m")
    return "".join(out)


def prepaint(cluster: str) -> bool:
    """Paint the skeleton when standard output is a terminal; tell whether it did."""
    stream = sys.__stderr__
    if stream is None or not stream.isatty() or not sys.stdin.isatty() or "NO_COLOR" in os.environ:
        return False
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except OSError:
        return False
    stream.write(skeleton(columns, rows, cluster))
    stream.flush()
    return True
