"""A log that follows: only the lines in sight are decoded, coloured and wrapped.

Scrolling up stops the following; coming back to the end, or the toggle, starts it again.
"""

from __future__ import annotations

import re
from bisect import bisect_left

from textual import events
from textual.cache import LRUCache
from textual.message import Message

from ..model.filter import pattern
from ..model.log_merge import MARK
from ..model.logs import LogBuffer
from ..render import json_line
from ..render.spans import EMPTY, Block, Line, Span, centred, line, marked, plain, rule, shifted
from ..render.text import inert, log_line
from .surface import Surface

LABELS = ("accent", "ok", "warn", "violet", "busy", "limit", "bad")
"""Colours of containers, in the order of their first lines."""
JSON = ("raw", "folded", "opened")
"""How lines that are JSON objects are shown."""
WHOLE = 1 << 30
"""More bytes than a line can have."""


class LogView(Surface, can_focus=True):
    """Shows a `LogBuffer`."""

    whole = True

    class Moved(Message):
        """Another part of the log is in sight, or following began or stopped."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.buffer = LogBuffer()
        self.following = True
        self.wrap = False
        self.timestamps = False
        self.json = JSON[0]
        self.left = 0
        """Cells scrolled to the right."""
        self.note = ""
        """What the stream says instead of lines: waiting, ended, an error."""
        self.search = ""
        self.labels: dict[str, str] | None = None
        """The colours of the containers that lines come from; None when there is but one."""
        self._marks: dict[int, str] = {}
        """What is written below a line, by the line's number."""
        self._top = 0
        """Number (not index) of the first line in sight."""
        self._shown: list[int] | None = None
        """Numbers of the lines that match the filter; None without one."""
        self._seen = 0
        self._pattern: re.Pattern[str] | None = None
        self._inverse = False
        self._lines: LRUCache[tuple[int, int], list[Line]] = LRUCache(1024)

    def show(self, buffer: LogBuffer, *, labelled: bool = False, follow: bool = True) -> None:
        """Another log, from its end, or without following from its beginning."""
        self.buffer = buffer
        self.following = follow
        self.labels = {} if labelled else None
        self._marks.clear()
        self._top = 0
        self.left = 0
        self.set_filter("")
        self.update()

    def set_filter(self, text: str) -> None:
        """Show only lines that match (`!` those that do not)."""
        self.search = text
        self._inverse = text.startswith("!")
        wanted = text[1:] if self._inverse else text
        self._pattern = pattern(wanted) if wanted else None
        self._shown = [] if self._pattern is not None else None
        self._seen = self.buffer.first
        self._lines.clear()
        self.update()

    # -- which lines -------------------------------------------------------------------------

    def _take_new(self) -> None:
        """Filter the lines that came since last time."""
        if self._shown is None or self._pattern is None:
            return
        first, count = self.buffer.first, len(self.buffer)
        if self._shown and self._shown[0] < first:
            self._shown = [number for number in self._shown if number >= first]
        start = max(self._seen, first)
        for number in range(start, first + count):
            text = self.buffer.line(number - first).decode("utf-8", "replace")
            if (self._pattern.search(text) is None) == self._inverse:
                self._shown.append(number)
        self._seen = first + count

    def _count(self) -> int:
        return len(self.buffer) if self._shown is None else len(self._shown)

    def _number(self, index: int) -> int:
        return self.buffer.first + index if self._shown is None else self._shown[index]

    def _index_of(self, number: int) -> int:
        if self._shown is None:
            return max(0, min(number - self.buffer.first, len(self.buffer)))
        return bisect_left(self._shown, number)

    def mark(self, text: str) -> bool:
        """Draw a line below the last one; False when there is none."""
        if not self._count():
            return False
        self._marks[self._number(self._count() - 1)] = text
        self.redraw()
        return True

    def lines(self) -> list[bytes]:
        """All lines that the filter lets through, as they are kept."""
        first = self.buffer.first
        return [self.buffer.line(self._number(i) - first, WHOLE) for i in range(self._count())]

    def in_sight(self) -> str:
        """What can be read now, without its colours."""
        return "\n".join(text.rstrip() for text in plain(self.rows()).split("\n")).rstrip()

    @property
    def position(self) -> str:
        """`line of lines`, for the status line."""
        index = self._index_of(self._top)
        hidden = len(self.buffer) - self._count()
        text = f"{min(self._count(), index + self.size.height)}/{self._count()}"
        return text + (f"  {hidden} hidden by /{self.search}" if hidden else "")

    def update(self) -> None:
        """Lines came: keep the end in sight while following."""
        self._take_new()
        if self.following:
            self._pin()
        self.repaint()

    def _pin(self) -> None:
        """Put the last line at the bottom."""
        height = self.size.height
        index = self._count()
        room = height
        while index > 0 and room > 0:
            room -= (
                len(self._drawn(index - 1))
                if self.wrap or self._marks or self.json == "opened"
                else 1
            )
            index -= 1
        if room < 0:
            index += 1
        self._top = self._number(index) if self._count() else self.buffer.first

    # -- drawing -----------------------------------------------------------------------------

    def _drawn(self, index: int) -> list[Line]:
        number = self._number(index)
        raw = self.buffer.line(number - self.buffer.first)
        key = (number, len(raw))
        found = self._lines.get(key)
        if found is None:
            found = self._draw(raw)
            if number in self._marks:
                found.append(rule(self.size.width - 1, [(f" {self._marks[number]} ", "warn")]))
            self._lines[key] = found
        return found

    def _draw(self, raw: bytes) -> list[Line]:
        text = raw.decode("utf-8", "replace")
        stamp: list[Span] = []
        head, space, rest = text.partition(" ")
        if space and head[10:11] == "T":
            text = rest
            if self.timestamps:
                stamp = [(head[11:23].ljust(13), "faint")]
        if self.labels is not None:
            label, text = self._labelled(text)
            stamp.append(label)
        found = json_line.parsed(text) if self.json != "raw" else None
        if found is None:
            rows: list[Line] = [(*stamp, *log_line(text))]
        elif self.json == "folded":
            rows = [(*stamp, *json_line.folded(found))]
        else:
            first, *others = json_line.opened(found) or [(("{}", "faint"),)]
            rows = [(*stamp, *first), *others]
        if self._pattern is not None and not self._inverse:
            rows = [marked(spans, self._pattern) for spans in rows]
        if not self.wrap:
            return rows
        room = max(10, self.size.width - 2)
        return [row for spans in rows for row in wrap_spans(spans, room)]

    def _labelled(self, text: str) -> tuple[Span, str]:
        """Who wrote a line, in a colour of its own, and what."""
        name, _, text = text.partition(MARK.decode())
        assert self.labels is not None
        role = self.labels.setdefault(name, LABELS[len(self.labels) % len(LABELS)])
        return (f"{inert(name)} ", role), text

    def rows(self) -> Block:
        height = self.size.height
        count = self._count()
        if not count:
            return self._picture(height)
        out: Block = []
        index = self._index_of(self._top)
        while index < count and len(out) < height:
            out += self._drawn(index)
            index += 1
        out = out[:height]
        if self.left:
            out = [shifted(spans, self.left) for spans in out]
        out = [((" ", "text"), *spans) for spans in out]
        return out + [EMPTY] * (height - len(out))

    def row(self, y: int) -> Line:
        return self.rows()[y]

    def _picture(self, height: int) -> Block:
        if self.search and len(self.buffer):
            words = [
                line(
                    (f"{len(self.buffer)} lines hidden by ", "text bold"),
                    (f"/{self.search}", "warn bold"),
                ),
                line(("esc", "key"), (" shows them again", "dim")),
            ]
        else:
            words = [line((self.note or "waiting for the first line …", "dim"))]
        block = centred(words, self.size.width, height)
        return block + [EMPTY] * (height - len(block))

    # -- moving ------------------------------------------------------------------------------

    def redraw(self) -> None:
        """How lines are drawn has changed."""
        self._lines.clear()
        self.update()
        self.refresh()

    def scroll_rows(self, count: int) -> None:
        """Move by lines; going up stops the following, reaching the end starts it again."""
        total = self._count()
        if count < 0:
            self.following = False
        index = max(0, min(total - 1, self._index_of(self._top) + count))
        if not total:
            return
        self._top = self._number(index)
        if count > 0 and index + self.size.height >= total:
            self.following = True
            self._pin()
        self._moved()

    def _moved(self) -> None:
        self.refresh()
        self.post_message(self.Moved())

    def scroll_sideways(self, count: int) -> None:
        """Move by cells when lines are not wrapped."""
        if not self.wrap:
            self.left = max(0, self.left + count)
            self.refresh()

    def go_end(self) -> None:
        """To the end, and follow."""
        self.following = True
        self.update()
        self._moved()

    def go_start(self) -> None:
        """To the oldest line, without following."""
        self.following = False
        if self._count():
            self._top = self._number(0)
        self._moved()

    def toggle_follow(self) -> None:
        """Follow, or stop where one is."""
        self.following = not self.following
        self.update()
        self._moved()

    def on_resize(self, event: events.Resize) -> None:
        self._lines.clear()
        self.update()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_rows(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_rows(-3)


def wrap_spans(spans: Line, width: int) -> list[Line]:
    """A line broken every `width` cells."""
    rows: list[Line] = []
    row: list[Span] = []
    room = width
    for text, role in spans:
        while len(text) >= room:
            row.append((text[:room], role))
            rows.append(tuple(row))
            text, row, room = text[room:], [], width
        if text:
            row.append((text, role))
            room -= len(text)
    if row or not rows:
        rows.append(tuple(row))
    return rows
