"""Which part of a log is read: its end, its beginning, or a stretch of time up to now."""

from __future__ import annotations

from dataclasses import dataclass

TAIL = 20_000
"""Lines of the past to begin with, and of a beginning."""


@dataclass(frozen=True)
class Range:
    """A part of a log."""

    name: str
    since: int | None = None
    """Seconds back from now."""
    follow: bool = True
    """Whether it goes on; the beginning does not."""


RANGES = (
    Range("tail"),
    Range("head", follow=False),
    Range("1m", 60),
    Range("5m", 300),
    Range("15m", 900),
    Range("30m", 1800),
    Range("1h", 3600),
)
"""By the digit that chooses them."""
EVERYTHING = RANGES[0]
