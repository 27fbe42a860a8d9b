"""Time as the API writes it (RFC 3339, UTC) and as people read it ("5h12m").

Parts that depend on time take a `Clock`, so that tests can move it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)

Clock = Callable[[], float]
"""Seconds since 1970, as time.time()."""


def now(clock: Clock = time.time) -> str:
    """The time in whole seconds: 2026-01-02T03:04:05Z."""
    return format(clock())


def now_micro(clock: Clock = time.time) -> str:
    """The time with microseconds, as leases need it: 2026-01-02T03:04:05.000006Z."""
    return format_micro(clock())


def format(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 text, cut to whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds // 1))


def format_micro(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 text with microseconds."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(text: str) -> float:
    """RFC 3339 text as seconds since 1970. Raise ValueError naming the text."""
    # ISO 8601, which fromisoformat reads, allows much that RFC 3339 does not.
    if _RFC3339.fullmatch(text):
        try:
            return datetime.fromisoformat(text).timestamp()
        except ValueError:
            pass
    raise ValueError(f"time {text!r} must be in RFC 3339 format, such as 2026-01-02T03:04:05Z")


def age(text: str | None, now: float | None = None) -> str:
    """How long ago a time was, as kubectl prints it; "<unknown>" without a time."""
    if not text:
        return "<unknown>"
    return duration((time.time() if now is None else now) - parse(text))


def duration(seconds: float) -> str:
    """A span in at most two units, as kubectl's HumanDuration: 119s, 2m30s, 5h12m, 3d4h, 2y100d."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    years, days_of_year = divmod(days, 365)
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    if days < 2920:
        return _two(years, "y", days_of_year, "d")
    return f"{years}y"


def _two(big: int, big_unit: str, small: int, small_unit: str) -> str:
    return f"{big}{big_unit}{small}{small_unit}" if small else f"{big}{big_unit}"
