"""Label selectors, from text ("a=b,c!=d,e in (x,y),!f") or from a LabelSelector object.

Both become one `Selector`: terms that must all hold. A term that excludes a value also holds when
the label is absent, as in Kubernetes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from engine.types.meta import LabelSelector

IN, NOT_IN, EXISTS, DOES_NOT_EXIST = "In", "NotIn", "Exists", "DoesNotExist"
GREATER, LESS = "Gt", "Lt"

_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]", re.ASCII)
_DNS = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_TOKEN = re.compile(r"\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+)")
_SYMBOLS = frozenset(("==", "!=", "=", "!", "(", ")", ",", "<", ">"))


class InvalidSelector(ValueError):
    """A selector that Kubernetes would refuse."""


def label_key_fault(key: str) -> str | None:
    """Why `key` cannot be a label key (or an annotation key, or a taint key), None if it can."""
    prefix, slash, name = key.rpartition("/")
    if slash and (not prefix or len(prefix) > 253 or not _DNS.fullmatch(prefix)):
        return "prefix part must be a lowercase RFC 1123 subdomain of at most 253 characters"
    if not name:
        return "name part must be non-empty"
    if len(name) > 63:
        return "name part must be no more than 63 bytes"
    if not _NAME.fullmatch(name):
        return (
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start"
            " and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc',"
            " regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        )
    return None


def label_value_fault(value: str) -> str | None:
    """Why `value` cannot be a label's value, None if it can."""
    if len(value) > 63:
        return "must be no more than 63 bytes"
    if value and not _NAME.fullmatch(value):
        return (
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_'"
            " or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or"
            " 'my_value',  or '12345', regex used for validation is"
            " '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        )
    return None


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term. Raise InvalidSelector for a key, operator or values that cannot be."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        fault = label_key_fault(self.key)
        if fault:
            raise InvalidSelector(f'key: Invalid value: "{self.key}": {fault}')
        if self.operator in (IN, NOT_IN):
            if not self.values:
                raise InvalidSelector(
                    "values: Invalid value: []: for 'in', 'notin' operators, values set can't be"
                    " empty"
                )
        elif self.operator in (EXISTS, DOES_NOT_EXIST):
            if self.values:
                raise InvalidSelector(
                    "values: Invalid value: values set must be empty for exists and does not exist"
                )
        elif self.operator in (GREATER, LESS):
            if len(self.values) != 1 or _integer(self.values[0]) is None:
                raise InvalidSelector(
                    f"values: Invalid value: {list(self.values)}: for 'Gt', 'Lt' operators, exactly"
                    " one value is required, and it must be an integer"
                )
        else:
            raise InvalidSelector(f'operator: Invalid value: "{self.operator}"')
        for value in self.values:
            fault = label_value_fault(value)
            if fault:
                raise InvalidSelector(f'values[0][{self.key}]: Invalid value: "{value}": {fault}')

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
        number, limit = _integer(value), _integer(self.values[0])
        if number is None or limit is None:
            return False
        return number > limit if self.operator == GREATER else number < limit

    def __str__(self) -> str:
        values = ",".join(sorted(self.values))
        match self.operator:
            case "In":
                return (
                    f"{self.key}={values}" if len(self.values) == 1 else f"{self.key} in ({values})"
                )
            case "NotIn":
                return (
                    f"{self.key}!={values}"
                    if len(self.values) == 1
                    else f"{self.key} notin ({values})"
                )
            case "Exists":
                return self.key
            case "DoesNotExist":
                return f"!{self.key}"
        return f"{self.key}{'>' if self.operator == GREATER else '<'}{values}"


@dataclass(frozen=True, slots=True)
class Selector:
    """Terms that must all hold; without terms it selects everything."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False
    """Selects nothing: what an absent (not an empty) LabelSelector means."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        return not self.nothing and all(r.matches(labels) for r in self.requirements)

    def __bool__(self) -> bool:
        return self.nothing or bool(self.requirements)

    def __str__(self) -> str:
        """Text that `parse` reads back (of a selector of nothing there is none)."""
        return ",".join(str(r) for r in self.requirements)


EVERYTHING = Selector()
NOTHING = Selector(nothing=True)


def from_labels(labels: Mapping[str, str]) -> Selector:
    """Equality with each of these labels, as a service's selector means it."""
    return Selector(tuple(Requirement(k, IN, (v,)) for k, v in sorted(labels.items())))


def of(selector: LabelSelector | None) -> Selector:
    """What a LabelSelector means: None selects nothing, an empty one everything.

    Raise InvalidSelector.
    """
    if selector is None:
        return NOTHING
    terms = [Requirement(k, IN, (v,)) for k, v in selector.match_labels.items()]
    for term in selector.match_expressions:
        if term.operator not in (IN, NOT_IN, EXISTS, DOES_NOT_EXIST):
            raise InvalidSelector(f'"{term.operator}" is not a valid label selector operator')
        terms.append(Requirement(term.key, term.operator, tuple(term.values)))
    return Selector(tuple(sorted(terms, key=lambda term: term.key)))


def parse(text: str) -> Selector:
    """Read "a=b,c!=d,e in (x,y),f notin (z),g,!h,i>3". Raise InvalidSelector. "" is everything."""
    tokens = [match[1] for match in _TOKEN.finditer(text)]
    terms: list[Requirement] = []
    while tokens:
        terms.append(_requirement(tokens))
        if tokens and (tokens.pop(0) != "," or not tokens):
            raise InvalidSelector("unable to parse requirement: found '', expected: identifier")
    return Selector(tuple(sorted(terms, key=lambda term: term.key)))


def _requirement(tokens: list[str]) -> Requirement:
    """Take one term from the front of `tokens`."""
    if tokens[0] == "!":
        tokens.pop(0)
        return Requirement(_word(tokens, "identifier"), DOES_NOT_EXIST)
    key = _word(tokens, "!, identifier, or ','")
    if not tokens or tokens[0] == ",":
        return Requirement(key, EXISTS)
    operator = tokens.pop(0)
    match operator:
        case "=" | "==":
            return Requirement(key, IN, (_value(tokens),))
        case "!=":
            return Requirement(key, NOT_IN, (_value(tokens),))
        case "in":
            return Requirement(key, IN, _values(tokens))
        case "notin":
            return Requirement(key, NOT_IN, _values(tokens))
        case ">":
            return Requirement(key, GREATER, (_value(tokens),))
        case "<":
            return Requirement(key, LESS, (_value(tokens),))
    raise InvalidSelector(
        f"unable to parse requirement: found '{operator}', expected: in, notin, =, ==, !=, gt, lt"
    )


def _word(tokens: list[str], expected: str) -> str:
    found = tokens.pop(0) if tokens else ""
    if not found or found in _SYMBOLS:
        raise InvalidSelector(f"unable to parse requirement: found '{found}', expected: {expected}")
    return found


def _value(tokens: list[str]) -> str:
    """A value, which may be empty: "a=" and "a=,b" are allowed."""
    return "" if not tokens or tokens[0] == "," else _word(tokens, "identifier")


def _values(tokens: list[str]) -> tuple[str, ...]:
    """A parenthesised list; an empty item is the empty value."""
    if not tokens or tokens.pop(0) != "(":
        raise InvalidSelector("unable to parse requirement: found '', expected: '('")
    values: set[str] = set()
    while True:
        values.add(
            "" if tokens and tokens[0] in (",", ")") else _word(tokens, "',', or identifier")
        )
        closing = tokens.pop(0) if tokens else ""
        if closing == ")":
            return tuple(sorted(values))
        if closing != ",":
            raise InvalidSelector(
                f"unable to parse requirement: found '{closing}', expected: ',' or ')'"
            )


def _integer(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None
