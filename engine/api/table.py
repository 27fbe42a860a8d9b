"""Tables: the columns and cells that `kubectl get` shows, word for word.

Columns with priority 1 are shown by `-o wide` only; the server always sends them. The rules are
those of Kubernetes' pkg/printers/internalversion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.api.columns import cluster, workloads
from engine.types import clock, codec
from engine.types.meta import Object
from engine.types.registry import Resource

Row = Callable[[Any, float], list[Any]]


@dataclass(frozen=True, slots=True)
class Printer:
    """How objects of one resource become rows."""

    cls: type[Object]
    definitions: list[dict[str, Any]]
    row: Row

    def cells(self, value: bytes, now: float) -> list[Any]:
        """One value per column; `now` is seconds since 1970."""
        return self.row(codec.decode(self.cls, value), now)


def _definitions(columns: str) -> list[dict[str, Any]]:
    """From "Name|Ready|Age|Node*": the star marks a wide column."""
    result = []
    for text in columns.split("|"):
        name = text.rstrip("*")
        result.append(
            {
                "name": name,
                "type": "string",
                "format": "name" if name == "Name" else "",
                "description": "",
                "priority": int(text.endswith("*")),
            }
        )
    return result


def _plain(obj: Object, now: float) -> list[Any]:
    return [obj.metadata.name, clock.age(obj.metadata.creation_timestamp, now)]


_TABLES: dict[str, tuple[str, Row]] = {**workloads.TABLES, **cluster.TABLES}
_printers: dict[str, Printer] = {}


def printer(resource: Resource) -> Printer:
    """The resource's table; name and age when it has none of its own."""
    found = _printers.get(resource.key)
    if found is None:
        columns, row = _TABLES.get(resource.kind, ("Name|Age", _plain))
        found = _printers[resource.key] = Printer(resource.cls, _definitions(columns), row)
    return found
