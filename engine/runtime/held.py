"""What an engine holds for its keeper: duplicates of the descriptors that another one would need.

As long as they are open, a keeper's death closes no pipe, ends no namespace, and hides no exit: see
keeper/holders.py, which sends them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

# A container is nothing without its sandbox.
_ORDER = ("sandbox", "container", "exec")


class Holding(NamedTuple):
    """A sandbox, a container or an exec: what is known of it, and its descriptors by name."""

    kind: str
    id: str
    facts: dict[str, Any]
    fds: dict[str, int]


class Held:
    """All of one keeper's. `tries`: how often another one was to go on with it."""

    def __init__(self) -> None:
        self.tries = 0
        self._all: dict[tuple[str, str], Holding] = {}

    def keep(
        self, kind: str, id: str, facts: dict[str, Any], names: Sequence[str], fds: Sequence[int]
    ) -> None:
        """`fds` become ours. Without room for all of them (RLIMIT_NOFILE) they cannot be held."""
        self.let_go(kind, id)
        if len(names) == len(fds):
            self._all[kind, id] = Holding(kind, id, facts, dict(zip(names, fds, strict=True)))
        else:
            _close(fds)

    def let_go(self, kind: str, id: str, names: Sequence[str] = ()) -> None:
        """All of it, or the descriptors of these names."""
        if not names and (holding := self._all.pop((kind, id), None)):
            _close(holding.fds.values())
        elif holding := self._all.get((kind, id)):
            _close(holding.fds.pop(name) for name in names if name in holding.fds)

    def ended(self, state: dict[str, Any]) -> None:
        """A container has, and needs no descriptor any more; what it said is logged."""
        holding = self._all.get(("container", state["id"]))
        if holding is not None:
            self.let_go("container", state["id"], tuple(holding.fds))
            holding.facts["state"] = state

    def __iter__(self) -> Iterator[Holding]:
        """In the order in which another keeper must get them. The descriptors stay ours."""
        return iter(sorted(self._all.values(), key=lambda each: _ORDER.index(each.kind)))

    def close(self) -> None:
        for kind, id in list(self._all):
            self.let_go(kind, id)


def _close(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)
