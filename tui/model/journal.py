"""What was done, as command lines that do the same: the way from the keys to a script."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from engine.types import clock

from ..render.spans import EMPTY, Block, wrapped
from ..render.text import inert

KEPT = 1000


@dataclass(frozen=True)
class Entry:
    """One line; `at` in Unix seconds, `problem` what the API said against it."""

    at: float
    line: str
    problem: str = ""


class Journal:
    """The last thousand."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=KEPT)

    def add(self, entry: Entry) -> None:
        """The same line again and again (a way back and forth) is one entry."""
        if self.entries and not entry.problem and self.entries[-1].line == entry.line:
            self.entries.pop()
        self.entries.append(entry)

    def page(self) -> Block:
        """The newest first."""
        if not self.entries:
            return [EMPTY, (("  Nothing was done yet.", "dim"),)]
        out: Block = [EMPTY]
        for entry in reversed(self.entries):
            role = "bad" if entry.problem else "bright"
            out.append(
                (
                    (f" {clock.format(entry.at)[11:19]}  ", "faint"),
                    ("$ ", "accent"),
                    (inert(entry.line), role),
                )
            )
            for row in wrapped(inert(entry.problem), 100) if entry.problem else ():
                out.append((("             ", "text"), (row, "bad")))
        return out
