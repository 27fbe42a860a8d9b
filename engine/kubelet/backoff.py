"""How long a crashed container, or a missing image, waits for its next try.

The rule is the kubelet's: the first failure is tried again at once; after that the wait is 10 s,
doubled with each failure up to 5 min, and counted from the moment the last try ended. Ten quiet
minutes forget everything. The clock is a parameter, so tests run in virtual time.
"""

from collections.abc import Hashable
from dataclasses import dataclass

INITIAL_S = 10.0
MAXIMUM_S = 300.0
FORGET_AFTER_S = 2 * MAXIMUM_S


@dataclass(slots=True)
class _Entry:
    delay_s: float
    updated: float


class Backoff:
    """One entry per key; times are unix seconds."""

    def __init__(self, initial_s: float = INITIAL_S, maximum_s: float = MAXIMUM_S) -> None:
        self._initial_s = initial_s
        self._maximum_s = maximum_s
        self._entries: dict[Hashable, _Entry] = {}

    def remaining(self, key: Hashable, ended: float, now: float) -> float:
        """Seconds until a try is allowed, when the last one ended at `ended`; 0 means now."""
        entry = self._entries.get(key)
        if entry is None or ended - entry.updated > FORGET_AFTER_S:
            return 0.0
        return max(0.0, ended + entry.delay_s - now)

    def advance(self, key: Hashable, ended: float, now: float) -> None:
        """Note that a new try begins now, after one that ended at `ended`."""
        entry = self._entries.get(key)
        if entry is None or ended - entry.updated > FORGET_AFTER_S:
            self._entries[key] = _Entry(self._initial_s, now)
        else:
            entry.delay_s = min(entry.delay_s * 2, self._maximum_s)
            entry.updated = now

    def delay(self, key: Hashable) -> float:
        """The present wait of the key in seconds, 0 when it has none."""
        entry = self._entries.get(key)
        return entry.delay_s if entry else 0.0

    def forget(self, key: Hashable) -> None:
        self._entries.pop(key, None)
