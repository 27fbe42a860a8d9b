"""Two stacks side by side: what was added, changed and removed from one to the other.

One comparison answers all: a layer's changes (the stack below it against the stack with it), two
images, and an image against a running container (whose upper directory is one layer more). Where
both stacks merge the very same layers nothing can differ, so it is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from engine.images.explore.node import alike, join, split
from engine.images.explore.stack import Found, Live, Stack


class Mark(StrEnum):
    """How a name differs. A directory is CHANGED also when something below it differs."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Row:
    """A name in both stacks, or in one. `size` and `count` are of what is there now, before the
    removal of what is not: bytes, and names below a directory."""

    path: bytes
    mark: Mark
    now: Found | None
    base: Found | None
    size: int
    count: int

    @property
    def found(self) -> Found:
        found = self.now or self.base
        assert found is not None
        return found


class Comparison:
    """`now` against `base`. Without a base nothing is marked: the stack as it is."""

    def __init__(self, now: Stack, base: Stack | None = None) -> None:
        self.now = now
        self.base = base
        self._same: set[bytes] = set()  # directories that are known not to differ

    def root(self) -> Row:
        now = self.now.root()
        return self._row(b"", now, self.base.root() if self.base is not None else None)

    def find(self, path: bytes) -> Row | None:
        """The row of a path that is in one of the two."""
        path = b"/".join(split(path))
        now = self.now.find(path)
        base = self.base.find(path) if self.base is not None else None
        return self._row(path, now, base) if now or base else None

    def rows(self, directory: Row) -> list[Row]:
        """What is in a directory of either stack, by name in order."""
        path = directory.path
        now = self._names(self.now, path, directory.now)
        base = self._names(self.base, path, directory.base)
        names = now if not base else sorted({*now, *base})
        return [self._row(join(path, name), now.get(name), base.get(name)) for name in names]

    def changes(self, directory: Row | None = None) -> Iterator[Row]:
        """Everything that differs below a directory, each before what is in it, in order.

        What is below something added or removed is told, too. A directory that only leads to
        changes is not.
        """
        pending = [directory or self.root()]
        while pending:
            row = pending.pop()
            if row.mark is Mark.SAME:
                continue
            if row.path and not _only_leads(row):
                yield row
            if _is_directory(row.now) or _is_directory(row.base):
                pending.extend(reversed(self.rows(row)))

    @staticmethod
    def _names(stack: Stack | None, path: bytes, found: Found | None) -> dict[bytes, Found]:
        return stack.names(path, found.live) if stack is not None and found else {}

    def _row(self, path: bytes, now: Found | None, base: Found | None) -> Row:
        stack, found = (self.now, now) if now is not None else (self.base, base)
        assert stack is not None
        assert found is not None
        size, count = stack.sums(path, found) if found.live else (found.node.size, 0)
        return Row(path, self._mark(path, now, base), now, base, size, count)

    def _mark(self, path: bytes, now: Found | None, base: Found | None) -> Mark:
        if self.base is None:
            return Mark.SAME
        if now is None:
            return Mark.REMOVED
        if base is None:
            return Mark.ADDED
        if not alike(now.node, base.node):
            return Mark.CHANGED
        return Mark.CHANGED if now.live and self._differ(path, now, base) else Mark.SAME

    def _differ(self, path: bytes, now: Found, base: Found) -> bool:
        """Whether something below two directories differs; ends with the first thing that does."""
        looked: list[bytes] = []
        pending = [(path, now, base)]
        while pending:
            at, here, there = pending.pop()
            if at in self._same or self._from_the_same(at, here.live, there.live):
                continue
            looked.append(at)
            ours = self._names(self.now, at, here)
            theirs = self._names(self.base, at, there)
            if ours.keys() != theirs.keys():
                return True
            for name, found in ours.items():
                other = theirs[name]
                if not alike(found.node, other.node):
                    return True
                if found.live:
                    pending.append((join(at, name), found, other))
        self._same.update(looked)
        return False

    def _from_the_same(self, path: bytes, now: Live, base: Live) -> bool:
        """Whether the same layers merge in both, but for some that have nothing there."""
        assert self.base is not None
        ours = [self.now.tables[layer] for layer in now]
        theirs = [self.base.tables[layer] for layer in base]
        shared = 0
        while shared < min(len(ours), len(theirs)) and ours[shared] is theirs[shared]:
            shared += 1
        return not any(table.directory(path) for table in (*ours[shared:], *theirs[shared:]))


def _is_directory(found: Found | None) -> bool:
    return found is not None and found.node.is_directory


def _only_leads(row: Row) -> bool:
    now, base = row.now, row.base
    return (
        now is not None and base is not None and _is_directory(now) and alike(now.node, base.node)
    )
