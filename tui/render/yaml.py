"""An object as YAML, coloured: keys, texts, numbers, and nothing that a terminal could obey."""

from __future__ import annotations

import re
from typing import Any

import yaml

from .spans import Block, Line
from .text import inert

_ORDER = ("apiVersion", "kind", "metadata", "spec", "status")
_KEY = re.compile(r"^(\s*(?:- )*)([^\s:#'\"][^:]*|'[^']*'|\"[^\"]*\"):(?= |$)(.*)$")
_PLAIN = re.compile(r"(true|false|null|~|-?\d+(\.\d+)?)$")


class _Dumper(yaml.SafeDumper):
    """Lists indented below their key, long texts as blocks."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def to_text(obj: dict[str, Any]) -> str:
    """YAML as kubectl prints it, without managedFields."""
    data = {key: obj[key] for key in _ORDER if key in obj}
    data |= {key: value for key, value in obj.items() if key not in data}
    meta = data.get("metadata")
    if isinstance(meta, dict) and "managedFields" in meta:
        data["metadata"] = {k: v for k, v in meta.items() if k != "managedFields"}
    dumped: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=4096)
    return dumped


def coloured(text: str) -> Block:
    """Lines of YAML as spans."""
    return [_line(inert(row)) for row in text.splitlines()]


def _line(row: str) -> Line:
    match = _KEY.match(row)
    if match is None:
        stripped = row.lstrip(" ")
        lead = row[: len(row) - len(stripped)]
        if stripped.startswith("- "):
            return ((f"{lead}- ", "faint"), _value(stripped[2:]))
        return ((lead, "text"), _value(stripped))
    lead, key, value = match.groups()
    return ((lead, "faint"), (key, "accent"), (":", "faint"), _value(value))


def _value(text: str) -> tuple[str, str]:
    bare = text.strip()
    if _PLAIN.match(bare):
        return text, "warn"
    if bare in ("{}", "[]", "''", '""'):
        return text, "faint"
    return text, "text"


def yaml_page(obj: dict[str, Any]) -> Block:
    """An object as coloured YAML."""
    return coloured(to_text(obj))
