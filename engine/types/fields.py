"""Field selectors: "spec.nodeName=x,status.phase!=Failed" over an object's plain data.

An absent field equals the empty text, as in Kubernetes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class InvalidFieldSelector(ValueError):
    """Text that is not a field selector."""


@dataclass(frozen=True, slots=True)
class FieldTerm:
    """One term: a path, whether it must be equal, and the value."""

    path: str
    equal: bool
    value: str

    def matches(self, data: Mapping[str, Any]) -> bool:
        return (lookup(data, self.path) == self.value) is self.equal


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """Terms that must all hold."""

    terms: tuple[FieldTerm, ...] = ()

    def matches(self, data: Mapping[str, Any]) -> bool:
        """Whether an object, as plain data with JSON names, satisfies every term."""
        return all(term.matches(data) for term in self.terms)

    def required(self, path: str) -> str | None:
        """The value that `path` must equal, if the selector says so (to use an index)."""
        return next((t.value for t in self.terms if t.path == path and t.equal), None)

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __str__(self) -> str:
        return ",".join(f"{t.path}{'=' if t.equal else '!='}{_escape(t.value)}" for t in self.terms)


def parse(text: str) -> FieldSelector:
    """Read a selector; `\\`, `,` and `=` in values are escaped with `\\`.

    Raise InvalidFieldSelector naming the term.
    """
    return FieldSelector(tuple(_term(part) for part in _split(text) if part))


def lookup(data: Mapping[str, Any], path: str) -> str:
    """The text of the field at a dotted path, "" when it is absent."""
    value: Any = data
    for name in path.split("."):
        if not isinstance(value, Mapping):
            return ""
        value = value.get(name)
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _split(text: str) -> list[str]:
    parts, current, escaped = [], "", False
    for char in text:
        if char == "," and not escaped:
            parts.append(current)
            current = ""
        else:
            current += char
        escaped = char == "\\" and not escaped
    return [*parts, current]


def _term(text: str) -> FieldTerm:
    for index, char in enumerate(text):
        for operator in ("!=", "==", "="):
            if text.startswith(operator, index):
                value = _unescape(text[index + len(operator) :], text)
                return FieldTerm(text[:index], operator != "!=", value)
        if char == "\\":
            break
    raise InvalidFieldSelector(f"invalid selector: '{text}'; can't understand '{text}'")


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")


def _unescape(value: str, term: str) -> str:
    result, chars = "", iter(value)
    for char in chars:
        if char == "\\":
            char = next(chars, "")
            if not char or char not in "\\,=":
                raise InvalidFieldSelector(
                    f"invalid field selector: invalid escape sequence: \\{char} in {term!r}"
                )
        elif char in ",=":
            raise InvalidFieldSelector(
                f"invalid field selector: unescaped character in value: {char} in {term!r}"
            )
        result += char
    return result
