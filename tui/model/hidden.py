"""Which columns the user does not want to see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from .saved import state


class Hidden:
    """By kind; kept from one time to the next."""

    def __init__(self, file: Path | None = None) -> None:
        """Read them; what cannot be read is as if nothing were hidden."""
        self._file = file or state() / "columns.json"
        self._kinds: dict[str, list[str]] = {}
        try:
            found = json.loads(self._file.read_bytes())
        except (OSError, ValueError):
            return
        if isinstance(found, dict):
            self._kinds = {
                str(kind): [str(head) for head in heads]
                for kind, heads in found.items()
                if isinstance(heads, list)
            }

    def of(self, kind: str) -> frozenset[str]:
        """Headings."""
        return frozenset(self._kinds.get(kind, ()))

    def choose(self, kind: str, shown: Mapping[str, bool]) -> None:
        """Keep a choice. Raise OSError when it cannot be written; it holds for now all the same."""
        self._kinds[kind] = [head for head, wanted in shown.items() if not wanted]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(self._kinds, indent=1), encoding="utf-8")
        fresh.replace(self._file)
