"""One thing that a machine should have: what was found, what it costs without, how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

ONLY_ROOT = "only root can tell"


class State(StrEnum):
    """Clusters cannot run with a thing `missing`; with one `degraded` they run, at its cost."""

    OK = "ok"
    DEGRADED = "degraded"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Check:
    """`cost`: what it means when this is not there; `cure`: what a person can type or ask for."""

    group: str
    name: str
    state: State
    found: str
    cost: str
    cure: str


def need(group: str, name: str, good: bool | None, found: str, cost: str, cure: str) -> Check:
    """Something that clusters cannot do without; None where only root can tell."""
    return _check(State.MISSING, group, name, good, found, cost, cure)


def want(group: str, name: str, good: bool | None, found: str, cost: str, cure: str) -> Check:
    """Something that clusters are better with."""
    return _check(State.DEGRADED, group, name, good, found, cost, cure)


def _check(
    bad: State, group: str, name: str, good: bool | None, found: str, cost: str, cure: str
) -> Check:
    if good is None:
        return Check(group, name, State.UNKNOWN, ONLY_ROOT, cost, cure)
    return Check(group, name, State.OK if good else bad, found, cost, cure)


def there(good: bool | None) -> str:
    return "there" if good else "not there"
