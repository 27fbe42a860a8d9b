"""The recent past: every change since `oldest`, in order and without a gap.

The log is bounded by number and by bytes. What falls out at its far end moves `oldest` forward, and
whoever asks for more than is left gets Compacted, never a log with a hole.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter

from engine.store.entry import Change, Compacted, Future

_revision = attrgetter("revision")


class Log:
    """A ring of changes; `current` is the newest revision, `oldest` the first one answerable."""

    def __init__(self, revision: int, *, changes: int, size: int) -> None:
        """Begin after `revision`; keep at most `changes` changes holding at most `size` bytes."""
        self.current = revision
        self.oldest = revision
        self._limit = changes
        self._size_limit = size
        self._size = 0
        self._changes: list[Change] = []

    def append(self, change: Change) -> None:
        if change.revision <= self.current:
            raise AssertionError(f"revision {change.revision} after {self.current}")
        self._changes.append(change)
        self._size += change.size
        self.current = change.revision
        if len(self._changes) > self._limit or self._size > self._size_limit:
            self._compact()

    def since(self, revision: int) -> list[Change]:
        """Every change after `revision`. Raise Compacted or Future when it is out of reach."""
        if revision < self.oldest:
            raise Compacted(revision, self.oldest)
        if revision > self.current:
            raise Future(revision, self.current)
        return self._changes[bisect_right(self._changes, revision, key=_revision) :]

    def _compact(self) -> None:
        # An eighth at a time: cutting a list's head moves all the rest.
        keep_size = self._size_limit - self._size_limit // 8
        keep = self._limit - self._limit // 8
        cut = 0
        while cut < len(self._changes) and (
            self._size > keep_size or len(self._changes) - cut > keep
        ):
            self._size -= self._changes[cut].size
            cut += 1
        self.oldest = self._changes[cut - 1].revision
        del self._changes[:cut]
