"""Small pieces of a row: states with glyph and colour, sparklines, bars with their limit."""

from __future__ import annotations

import math

from . import numbers
from .bars import heat, slim
from .braille import spark
from .spans import Line, Span

# Glyph and colour by what a word of status means for its reader.
OK, WARN, BAD, BUSY, DONE = "ok", "warn", "bad", "busy", "done"
_GLYPHS = {OK: "●", WARN: "◐", BAD: "✖", BUSY: "◌", DONE: "✔"}

_MEANING = {
    "Running": OK,
    "Ready": OK,
    "Active": OK,
    "Available": OK,
    "Bound": OK,
    "Complete": DONE,
    "Completed": DONE,
    "Succeeded": DONE,
    "Scaled to 0": DONE,
    "Normal": DONE,
    "Pending": WARN,
    "Unschedulable": WARN,
    "NotReady": WARN,
    "Warning": WARN,
    "Degraded": WARN,
    "SchedulingDisabled": WARN,
    "Paused": WARN,
    "Suspended": WARN,
    "Terminating": BUSY,
    "ContainerCreating": BUSY,
    "PodInitializing": BUSY,
    "Progressing": BUSY,
    "Scheduled": BUSY,
}


def meaning(status: str) -> str:
    """What a word of status means: ok, warn, bad, busy or done."""
    known = _MEANING.get(status)
    if known:
        return known
    if status.startswith("Init:"):
        return BAD if any(word in status for word in ("Err", "BackOff", "OOM")) else BUSY
    if status.startswith("Ready,"):
        return WARN
    return BAD


def glyph(state: str) -> str:
    """The sign of a meaning."""
    return _GLYPHS[state]


def state(status: str, state: str | None = None) -> Line:
    """A status as sign, word and colour."""
    role = state or meaning(status)
    return ((f"{_GLYPHS[role]} {status}", role),)


def number(text: str, value: float, *, quiet: bool = False) -> Line:
    """A number, or a dash when there is none."""
    if math.isnan(value):
        return (("–", "faint"),)
    return ((text, "dim" if quiet else "text"),)


def cores(value: float) -> Line:
    return number(numbers.cores(value), value, quiet=value < 0.005)


def mebibytes(value: float) -> Line:
    return number(numbers.mebibytes(value), value)


def trend(
    values: list[float], width: int, scale: str, top: float, hot: float | None = None
) -> Line:
    """A sparkline up to `top`, coloured by how near its newest value is to `hot`."""
    last = next((value for value in reversed(values) if value == value), math.nan)
    if math.isnan(last):
        return (("·" * width, "track"),)
    return ((spark(values, width, top), heat(scale, last / hot if hot else 0.3)),)


def share(value: float, limit: float | None, width: int, scale: str) -> Line:
    """How much of a limit is used: a thin bar and a percentage."""
    if math.isnan(value) or not limit:
        return (("–".rjust(width), "faint"),)
    fraction = value / limit
    text: Span = (f"{min(999, round(fraction * 100)):>4}%", _pressure(fraction))
    return (*slim(fraction, width - 5, scale), text)


def _pressure(fraction: float) -> str:
    return "bad" if fraction >= 0.9 else "warn" if fraction >= 0.75 else "dim"
