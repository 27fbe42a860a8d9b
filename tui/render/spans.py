"""Styled text as plain data: what every pure drawing function returns.

A span is (text, role), a line is a tuple of spans, a block is a list of lines. A role is a few
words that a palette turns into a style: a colour's name, `bold`/`italic`/`underline`, and `@name`
for the background ("ok", "dim italic", "text bold @cursor"). Lines are hashable and compare by
value, so that a widget paints a line again only when it differs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size

Span = tuple[str, str]
Line = tuple[Span, ...]
Block = list[Line]

EMPTY: Line = ()


def line(*spans: Span | str) -> Line:
    """A line of spans; a bare string is text in the role `text`."""
    return tuple((span, "text") if isinstance(span, str) else span for span in spans)


def cells(text: str) -> int:
    """Terminal cells that `text` takes."""
    return len(text) if text.isascii() else cell_len(text)


def width_of(spans: Iterable[Span]) -> int:
    """Terminal cells of a line."""
    return sum(cells(text) for text, _ in spans)


def crop(text: str, width: int) -> str:
    """`text` in at most `width` cells, the last one an ellipsis when something was cut."""
    if cells(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    if text.isascii():
        return text[: width - 1] + "…"
    return set_cell_size(text, width - 1).rstrip() + "…"


def crop_middle(text: str, width: int) -> str:
    """Like crop, but keeps both ends: a pod's name tells most at its end."""
    if cells(text) <= width or width < 8 or not text.isascii():
        return crop(text, width)
    tail = (width - 1) // 2
    return text[: width - 1 - tail] + "…" + text[-tail:]


def clip(spans: Sequence[Span], width: int) -> Line:
    """The first `width` cells of a line, with an ellipsis when something was cut."""
    total = width_of(spans)
    if total <= width:
        return tuple(spans)
    out: list[Span] = []
    room = width
    for text, role in spans:
        size = cells(text)
        if size < room:
            out.append((text, role))
            room -= size
            continue
        out.append((crop(text + " ", room) if size == room else crop(text, room), role))
        break
    return tuple(out)


def pad(spans: Sequence[Span], width: int, *, right: bool = False, role: str = "text") -> Line:
    """A line of exactly `width` cells, filled on the right (on the left when `right`)."""
    clipped = clip(spans, width)
    room = width - width_of(clipped)
    if not room:
        return clipped
    fill: Span = (" " * room, role)
    return (fill, *clipped) if right else (*clipped, fill)


def spread(left: Sequence[Span], right: Sequence[Span], width: int) -> Line:
    """`left` at the left edge and `right` at the right one; the left is clipped first."""
    size = width_of(right)
    if size >= width:
        return clip(right, width)
    return (*pad(left, width - size), *right)


def beside(blocks: Sequence[Block], widths: Sequence[int], gap: int = 1) -> Block:
    """Blocks next to each other, each padded to its width and all to the tallest."""
    height = max((len(block) for block in blocks), default=0)
    space: Span = (" " * gap, "text")
    out: Block = []
    for row in range(height):
        spans: list[Span] = []
        for index, (block, width) in enumerate(zip(blocks, widths, strict=True)):
            if index and gap:
                spans.append(space)
            spans.extend(pad(block[row] if row < len(block) else EMPTY, width))
        out.append(tuple(spans))
    return out


def boxed(
    body: Block,
    width: int,
    *,
    title: Sequence[Span] = (),
    note: Sequence[Span] = (),
    role: str = "line",
    height: int | None = None,
) -> Block:
    """`body` in a rounded frame of `width` cells with a title on its upper edge, a note at its end.

    With `height` the frame has exactly that many rows: the body is cut or filled.
    """
    inner = width - 4
    head = clip(title, inner) if title else EMPTY
    tail = note if note and width_of(head) + width_of(note) + 3 <= inner else EMPTY
    rule = width - 4 - (width_of(head) + 2 if head else 0) - (width_of(tail) + 2 if tail else 0)
    top: list[Span] = [("╭─", role)]
    if head:
        top += [(" ", role), *head, (" ", role)]
    top.append(("─" * rule, role))
    if tail:
        top += [(" ", role), *tail, (" ", role)]
    top.append(("─╮", role))
    rows = body if height is None else body[: height - 2]
    out: Block = [tuple(top)]
    out += [(("│ ", role), *pad(row, inner), (" │", role)) for row in rows]
    if height is not None:
        blank: Line = (("│", role), (" " * (width - 2), "text"), ("│", role))
        out += [blank] * (height - 2 - len(rows))
    out.append((("╰" + "─" * (width - 2) + "╯", role),))
    return out


def rule(width: int, title: Sequence[Span] = (), role: str = "line") -> Line:
    """A titled horizontal rule: a lighter frame than a box."""
    if not title:
        return (("─" * width, role),)
    head = clip(title, max(0, width - 4))
    return (("─ ", role), *head, (" ", role), ("─" * (width - 3 - width_of(head)), role))


def centred(body: Block, width: int, height: int) -> Block:
    """`body` in the middle of an area of `width` x `height`."""
    top = max(0, (height - len(body)) // 2)
    size = max((width_of(row) for row in body), default=0)
    left: Span = (" " * max(0, (width - size) // 2), "text")
    return [EMPTY] * top + [(left, *row) for row in body]


def plain(block: Iterable[Line]) -> str:
    """The characters alone, for tests and for copying."""
    return "\n".join("".join(text for text, _ in row).rstrip() for row in block)


def wrapped(text: str, width: int) -> list[str]:
    """`text` broken between words, and inside a word that is wider than `width`."""
    rows: list[str] = []
    row = ""
    for word in text.split():
        while cells(word) > width:
            room = width - cells(row) - 1 if row else width
            if room < width // 3:
                rows.append(row)
                row, room = "", width
            head = set_cell_size(word, room).rstrip() if not word.isascii() else word[:room]
            rows.append(f"{row} {head}" if row else head)
            row, word = "", word[len(head) :]
        if not row:
            row = word
        elif cells(row) + 1 + cells(word) <= width:
            row += " " + word
        else:
            rows.append(row)
            row = word
    if row:
        rows.append(row)
    return rows or [""]


def shifted(spans: Line, left: int) -> Line:
    """A line without its first `left` cells."""
    out: list[Span] = []
    for text, role in spans:
        size = cells(text)
        if left >= size:
            left -= size
        elif left:
            out.append((text[left:] if text.isascii() else _tail(text, left), role))
            left = 0
        else:
            out.append((text, role))
    return tuple(out)


def _tail(text: str, left: int) -> str:
    """`text` without its first `left` cells; half a wide character becomes a space."""
    index = 0
    while left > 0:
        left -= cells(text[index])
        index += 1
    return " " * -left + text[index:]


def on_bar(spans: Line, width: int) -> Line:
    """A line on the ground of the bars, filled to `width`."""
    out = tuple((text, f"{role} @bar") for text, role in spans)
    return (*out, (" " * max(0, width - width_of(out)), "@bar"))


def marked(spans: Line, found: re.Pattern[str]) -> Line:
    """A line with what matches on a coloured ground; a match ends where its span ends."""
    out: list[Span] = []
    for text, role in spans:
        start = 0
        for match in found.finditer(text):
            if match.end() > match.start():
                out.append((text[start : match.start()], role))
                out.append((match.group(), "bright bold @match"))
                start = match.end()
        out.append((text[start:], role))
    return tuple(span for span in out if span[0])
