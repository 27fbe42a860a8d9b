"""An object in words, laid out as `kubectl describe` does: names at the left, values beside them.

It works for any kind: scalars become `Name: value`, lists of conditions and of containers get a
layout of their own, and the events come last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from engine.types import clock

from .spans import EMPTY, Block, Span, crop
from .text import inert

LABEL = 18
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SKIPPED = {"managedFields", "name", "namespace", "labels", "annotations", "selfLink"}
_STATUS = {"True": "ok", "False": "warn", "Unknown": "warn"}


def heading(name: str) -> str:
    """`restartPolicy` as `Restart Policy`."""
    words = _WORDS.sub(" ", inert(name))
    return words[:1].upper() + words[1:]


class Writer:
    """Collects lines with indentation."""

    def __init__(self, now: float) -> None:
        self.lines: Block = []
        self.now = now

    def pair(self, name: str, value: str, depth: int = 0, role: str = "text") -> None:
        """`Name:   value`."""
        label = inert(f"{name}:").ljust(max(LABEL - depth * 2, len(name) + 2))
        self.lines.append((("  " * depth, "text"), (label, "dim"), (inert(value), role)))

    def title(self, name: str, depth: int = 0) -> None:
        """`Name:` above a block."""
        self.lines.append((("  " * depth, "text"), (f"{name}:", "accent" if not depth else "dim")))

    def mapping(self, name: str, values: dict[str, Any], depth: int = 0) -> None:
        """Labels and the like: one a line."""
        if not values:
            self.pair(name, "<none>", depth, "faint")
            return
        pad = " " * max(LABEL - depth * 2, len(name) + 2)
        for index, (key, value) in enumerate(sorted(values.items())):
            label = f"{name}:".ljust(len(pad)) if index == 0 else pad
            self.lines.append(
                (
                    ("  " * depth, "text"),
                    (label, "dim"),
                    (inert(key), "text"),
                    ("=", "faint"),
                    (inert(str(value)), "text"),
                )
            )

    def value(self, name: str, value: Any, depth: int = 0) -> None:
        """Anything, below its name."""
        if isinstance(value, dict):
            if not value:
                self.pair(heading(name), "<none>", depth, "faint")
            elif all(not isinstance(item, dict | list) for item in value.values()):
                self.scalars(name, value, depth)
            else:
                self.title(heading(name), depth)
                for key, item in value.items():
                    self.value(key, item, depth + 1)
        elif isinstance(value, list):
            self.items(name, value, depth)
        else:
            self.pair(heading(name), self.scalar(value), depth)

    def scalars(self, name: str, values: dict[str, Any], depth: int) -> None:
        """A flat mapping: a block of pairs."""
        self.title(heading(name), depth)
        for key, item in values.items():
            self.pair(heading(key), self.scalar(item), depth + 1)

    def items(self, name: str, values: Sequence[Any], depth: int) -> None:
        """A list: conditions as a table, objects by name, plain values side by side."""
        if not values:
            self.pair(heading(name), "<none>", depth, "faint")
        elif name == "conditions":
            self.conditions(values, depth)
        elif all(not isinstance(item, dict | list) for item in values):
            self.pair(heading(name), ", ".join(map(str, values)), depth)
        else:
            self.title(heading(name), depth)
            for item in values:
                if isinstance(item, dict) and item.keys() == {"name", "value"}:
                    self.pair(str(item["name"]), str(item["value"]), depth + 1)
                else:
                    self.item(item, depth + 1)

    def item(self, item: Any, depth: int) -> None:
        """One object of a list, under its own name if it has one."""
        if not isinstance(item, dict):
            self.lines.append((("  " * depth, "text"), (inert(str(item)), "text")))
            return
        name = item.get("name") or item.get("type") or item.get("key") or item.get("ip")
        rest = {
            k: v for k, v in item.items() if v != name or k not in ("name", "type", "key", "ip")
        }
        self.lines.append((("  " * depth, "text"), (inert(str(name or "-")), "text bold")))
        for key, value in rest.items():
            self.value(key, value, depth + 1)

    def conditions(self, values: Sequence[Any], depth: int) -> None:
        """Type, status, since when, and why."""
        self.title("Conditions", depth)
        for item in values:
            status = str(item.get("status", ""))
            since = item.get("lastTransitionTime")
            spans: list[Span] = [
                ("  " * (depth + 1), "text"),
                (f"{inert(str(item.get('type', ''))):<28} ", "text"),
                (f"{inert(status):<8} ", _STATUS.get(status, "text")),
                (f"{clock.age(since, self.now) if since else '–':>8}  ", "faint"),
                (inert(str(item.get("reason", ""))), "text"),
            ]
            if item.get("message"):
                spans.append((f"  {inert(str(item['message']))}", "dim"))
            self.lines.append(tuple(spans))

    def scalar(self, value: Any) -> str:
        """A value; times are followed by their age."""
        if isinstance(value, bool):
            return str(value).lower()
        text = str(value)
        if len(text) in (20, 27) and text.endswith("Z") and text[4:5] == "-":
            try:
                return f"{text}  ({clock.age(text, self.now)} ago)"
            except ValueError:
                return text
        return text


def describe(obj: dict[str, Any], events: Sequence[Any], now: float, width: int) -> Block:
    """The page. `events` are about the object, the newest first."""
    writer = Writer(now)
    meta = obj.get("metadata") or {}
    writer.pair("Name", str(meta.get("name", "")), role="bright bold")
    if meta.get("namespace"):
        writer.pair("Namespace", str(meta["namespace"]))
    writer.pair("Kind", f"{obj.get('kind', '')}  {obj.get('apiVersion', '')}")
    writer.mapping("Labels", meta.get("labels") or {})
    writer.mapping("Annotations", meta.get("annotations") or {})
    for key, value in meta.items():
        if key not in _SKIPPED:
            writer.value(key, value)
    for key, value in obj.items():
        if key not in ("apiVersion", "kind", "metadata"):
            writer.lines.append(EMPTY)
            writer.value(key, value)
    writer.lines.append(EMPTY)
    _events(writer, events, width)
    return writer.lines


def _events(writer: Writer, events: Sequence[Any], width: int) -> None:
    if not events:
        writer.pair("Events", "<none>", role="faint")
        return
    writer.title("Events")
    head = f"  {'Type':<9}{'Reason':<20}{'Age':>7}  {'From':<22}Message"
    writer.lines.append(((head, "faint"),))
    for event in events:
        stamp = event.last_timestamp or event.event_time or event.first_timestamp
        count = event.series.count if event.series else event.count
        text = inert(event.message) + (f" (×{count})" if count > 1 else "")
        source = inert(event.source.component or event.reporting_component)
        writer.lines.append(
            (
                (f"  {inert(event.type):<9}", "warn" if event.type == "Warning" else "dim"),
                (f"{crop(inert(event.reason), 19):<20}", "text"),
                (f"{clock.age(stamp, writer.now) if stamp else '–':>7}  ", "faint"),
                (f"{crop(source, 21):<22}", "dim"),
                (text, "text"),
            )
        )
