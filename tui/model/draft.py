"""An object as a text that is being edited: what came back from the editor, and what it changes."""

from __future__ import annotations

from difflib import unified_diff
from typing import Any

import yaml

from ..render.spans import Block
from ..render.text import inert
from ..render.yaml import to_text

HEAD = """\
# What you save here replaces the object, once you have seen the difference and agreed.
# Leave it as it is to change nothing. Lines that begin with # are not read.
"""


class DraftError(Exception):
    """Why a text cannot be the object, in words for its author."""


class Draft:
    """One object, from the text it had to the one it is to have."""

    def __init__(self, obj: dict[str, Any]) -> None:
        self.original = to_text(obj)
        self.text = self.original
        self._identity = _identity(obj)

    def to_edit(self, problem: str = "") -> str:
        """What the editor is given."""
        said = "".join(f"# {inert(row)}\n" for row in problem.splitlines())
        return HEAD + (f"#\n{said}" if said else "") + self.text

    def take(self, edited: str) -> bool:
        """What the editor gave back; False when nothing is changed."""
        rows = edited.splitlines(keepends=True)
        start = next((i for i, row in enumerate(rows) if not row.startswith("#")), len(rows))
        self.text = "".join(rows[start:])
        return self.text.strip() != self.original.strip()

    def object(self) -> dict[str, Any]:
        """The object that the text is now. Raise DraftError."""
        try:
            found = yaml.safe_load(self.text)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
            raise DraftError(f"{where}{error.problem or error.context}") from None
        except yaml.YAMLError as error:
            raise DraftError(str(error)) from None
        if not isinstance(found, dict):
            raise DraftError("an object is a mapping: apiVersion, kind, metadata and so on")
        for field, old, new in zip(_FIELDS, self._identity, _identity(found), strict=True):
            if old != new:
                raise DraftError(f"{field}: must stay {old!r}, not {new!r}")
        return found

    def difference(self) -> Block:
        """Lines as a unified diff, coloured."""
        before, after = self.original.splitlines(), self.text.splitlines()
        rows = list(unified_diff(before, after, n=3, lineterm=""))[2:]
        return [((f" {inert(row)}", _role(row)),) for row in rows]


_FIELDS = ("apiVersion", "kind", "metadata.name", "metadata.namespace")


def _identity(obj: dict[str, Any]) -> tuple[Any, ...]:
    meta = obj.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    return obj.get("apiVersion"), obj.get("kind"), meta.get("name"), meta.get("namespace")


def _role(row: str) -> str:
    if row.startswith("@@"):
        return "accent"
    return {"+": "ok", "-": "bad"}.get(row[:1], "dim")
