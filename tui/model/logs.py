"""A container's log in memory: its bytes and where each line ends, nothing per line but that.

A million lines cost their text plus eight bytes each. The oldest part goes when the ring is full;
lines keep their numbers, so that a view on them does not jump.
"""

from __future__ import annotations

from array import array
from itertools import accumulate

LIMIT = 64 << 20
"""Bytes kept of one stream."""


class LogBuffer:
    """Lines of bytes, appended at the end, forgotten at the beginning."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._text = bytearray()
        self._ends: array[int] = array("Q")
        """Ends of the complete lines, counted from the start of `_text`."""
        self.first = 0
        """Number of the oldest line kept."""

    def __len__(self) -> int:
        """Lines kept; an unfinished last line counts."""
        return len(self._ends) + bool(self._open)

    @property
    def _open(self) -> int:
        """Bytes of the last line, which has no newline yet."""
        return len(self._text) - (self._ends[-1] if self._ends else 0)

    @property
    def size(self) -> int:
        """Bytes kept."""
        return len(self._text)

    def append(self, chunk: bytes) -> None:
        """Add bytes as they come: chunks may end anywhere."""
        start = self._ends[-1] if self._ends else 0
        pieces = (bytes(self._text[start:]) + chunk).split(b"\n")
        self._text += chunk
        ends = accumulate((len(piece) + 1 for piece in pieces[:-1]), initial=start)
        next(ends)
        self._ends.extend(ends)
        if len(self._text) > self._limit:
            self._forget()

    def _forget(self) -> None:
        """Drop the oldest quarter: seldom, and in one move."""
        target = self._limit * 3 // 4
        cut = len(self._text) - target
        low, high = 0, len(self._ends)
        while low < high:
            middle = (low + high) // 2
            if self._ends[middle] < cut:
                low = middle + 1
            else:
                high = middle
        if low >= len(self._ends):  # one endless line: keep its end
            offset, gone = cut, len(self._ends)
        else:
            offset, gone = self._ends[low], low + 1
        del self._text[:offset]
        self._ends = array("Q", [end - offset for end in self._ends[gone:]])
        self.first += gone

    def line(self, index: int, limit: int = 8192) -> bytes:
        """The line `index` (0 is the oldest kept), at most `limit` bytes of it."""
        start = self._ends[index - 1] if index > 0 else 0
        end = self._ends[index] - 1 if index < len(self._ends) else len(self._text)
        return bytes(self._text[start : min(end, start + limit)])

    def clear(self) -> None:
        """Forget everything; numbering goes on."""
        self.first += len(self)
        self._text.clear()
        self._ends = array("Q")
