"""What the store holds: an object's bytes at one revision, and the step from one to the next.

An entry never changes once made, so readers share it freely. Errors here are the store's own; the
API turns them into its Status objects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]

Encoder = Callable[[int], bytes]
"""Makes an object's bytes, given the revision that the write got. Called exactly once."""


class Key(NamedTuple):
    """An object's name: `resource` is "pods" or "deployments.apps", `namespace` may be ""."""

    resource: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return "/".join(part for part in self if part)


@dataclass(frozen=True, slots=True)
class Entry:
    """An object's bytes as of `revision`."""

    key: Key
    revision: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """One step of the log. For DELETED, `entry` is the object's last state at the new revision."""

    type: ChangeType
    entry: Entry
    previous: Entry | None

    @property
    def revision(self) -> int:
        return self.entry.revision

    @property
    def size(self) -> int:
        """Bytes that the log keeps alive for this change; the previous value has its own change."""
        return len(self.entry.value)


class StoreError(Exception):
    """The store could not do what was asked."""


class Exists(StoreError):
    """A create found an object of that name."""

    def __init__(self, key: Key) -> None:
        super().__init__(f"{key}: already exists")


class Missing(StoreError):
    """An update or delete found no object of that name."""

    def __init__(self, key: Key) -> None:
        super().__init__(f"{key}: not found")


class Stale(StoreError):
    """The object has changed since the writer read it."""

    def __init__(self, key: Key, expected: int, actual: int) -> None:
        super().__init__(f"{key}: is at revision {actual}, the write expected {expected}")


class Compacted(StoreError):
    """The log no longer reaches back to the revision asked for; the reader must list again."""

    def __init__(self, revision: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {revision} ({oldest})")
        self.revision = revision
        self.oldest = oldest


class Future(StoreError):
    """The revision asked for has not happened yet."""

    def __init__(self, revision: int, current: int) -> None:
        super().__init__(f"Too large resource version: {revision}, current: {current}")
        self.revision = revision
        self.current = current


class Unwritable(StoreError):
    """The disk refused a commit. Nothing of it is visible; later writes may succeed again."""


class Corrupt(StoreError):
    """The database cannot be trusted, and was left as it is."""


class Busy(StoreError):
    """Another process has the database open."""
