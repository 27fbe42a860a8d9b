"""A log line that is a JSON object, made easy to read: folded into one line, or opened into many.

What applications call the time, the level and the message is looked for under the usual names.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .spans import Line, Span
from .text import inert

TIMES = ("time", "ts", "timestamp", "@timestamp", "t")
LEVELS = ("level", "lvl", "severity", "levelname", "log.level")
MESSAGES = ("msg", "message", "event", "text")
_ROLES = {
    "trace": "faint",
    "debug": "dim",
    "info": "ok",
    "notice": "accent",
    "warn": "warn",
    "warning": "warn",
    "error": "bad",
    "err": "bad",
    "fatal": "bad",
    "critical": "bad",
    "panic": "bad",
}
_NUMBERS = {10: "trace", 20: "debug", 30: "info", 40: "warn", 50: "error", 60: "fatal"}
"""Levels of pino and bunyan."""
_DEEP = 8


def parsed(text: str) -> dict[str, Any] | None:
    """The object that a line is; None when it is none."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def folded(found: dict[str, Any]) -> Line:
    """Time, level and message first, then the others as key=value."""
    rest = dict(found)
    spans: list[Span] = []
    time, level, message = (_take(rest, names) for names in (TIMES, LEVELS, MESSAGES))
    if time is not None:
        spans.append((f"{_value(time)} ", "faint"))
    if level is not None:
        word = _NUMBERS.get(level, "") if isinstance(level, int) else str(level)
        word = word or str(level)
        spans.append((f"{inert(word.upper()):<5} ", f"{_ROLES.get(word.lower(), 'text')} bold"))
    if message is not None:
        spans.append((_value(message), "bright"))
    for key, value in rest.items():
        spans += [(f"  {inert(key)}=", "accent"), (_value(value), "dim")]
    return tuple(spans) or (("{}", "faint"),)


def opened(found: dict[str, Any]) -> list[Line]:
    """One value a row, indented."""
    return [*_rows(found, "", 0)]


def _take(rest: dict[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        if name in rest and not isinstance(rest[name], dict | list):
            return rest.pop(name)
    return None


def _value(value: Any) -> str:
    """Texts as they are, all else as JSON."""
    return inert(value if isinstance(value, str) else msgspec.json.encode(value).decode())


def _rows(value: Any, label: str, depth: int) -> list[Line]:
    pad = "  " * depth
    head: tuple[Span, ...] = ((f"{pad}{inert(label)}: ", "accent"),) if label else ((pad, "text"),)
    if depth < _DEEP and isinstance(value, dict) and value:
        rows = [head] if label else []
        for key, inner in value.items():
            rows += _rows(inner, key, depth + bool(label))
        return rows
    if depth < _DEEP and isinstance(value, list) and value:
        rows = [head]
        for number, inner in enumerate(value):
            rows += _rows(inner, f"[{number}]", depth + 1)
        return rows
    role = "text" if isinstance(value, str) else "warn"
    return [(*head, (_value(value), role))]
