"""What a controller has done and not yet seen: it waits for its own writes before it counts again.

A cache lags behind the writes of the one who reads it. Creations are counted and deletions named
*before* they are asked for, and taken off when the watch shows them; until then the owner's size is
not corrected. What is never seen (made and gone while the watch was down) is given up after half
a minute; client-go waits five, but it looks over a network.
"""

import time
from dataclasses import dataclass, field

from engine.types.clock import Clock

GIVEN_UP_AFTER = 30.0


@dataclass(slots=True)
class Expected:
    """Writes of one owner still to be seen. `since` is unix seconds."""

    since: float
    creations: int = 0
    deletions: set[str] = field(default_factory=set)


class Expectations:
    """Expected writes by the owner's key."""

    def __init__(self, clock: Clock = time.time) -> None:
        self._clock = clock
        self._by_owner: dict[str, Expected] = {}

    def expect_creation(self, owner: str) -> None:
        """A creation is about to be asked for."""
        self._of(owner).creations += 1

    def expect_deletion(self, owner: str, uid: str) -> None:
        """A deletion is about to be asked for."""
        self._of(owner).deletions.add(uid)

    def creation_done(self, owner: str) -> None:
        """A creation was seen, or failed."""
        expected = self._by_owner.get(owner)
        if expected is not None:
            expected.creations = max(expected.creations - 1, 0)

    def deletion_done(self, owner: str, uid: str) -> None:
        """A deletion was seen, or failed."""
        expected = self._by_owner.get(owner)
        if expected is not None:
            expected.deletions.discard(uid)

    def satisfied(self, owner: str) -> bool:
        """Whether the cache shows all that the owner's controller did."""
        expected = self._by_owner.get(owner)
        if expected is None:
            return True
        unseen = expected.creations or expected.deletions
        if unseen and self._clock() - expected.since < GIVEN_UP_AFTER:
            return False
        del self._by_owner[owner]
        return True

    def forget(self, owner: str) -> None:
        """The owner is gone."""
        self._by_owner.pop(owner, None)

    def _of(self, owner: str) -> Expected:
        now = self._clock()
        expected = self._by_owner.setdefault(owner, Expected(now))
        expected.since = now
        return expected
