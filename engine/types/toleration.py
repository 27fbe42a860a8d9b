"""Which taints a toleration answers to."""

from __future__ import annotations

from typing import Protocol

from engine.types.pods import Toleration


class AnyTaint(Protocol):
    """A taint of a node, or the same three words by themselves."""

    @property
    def key(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def effect(self) -> str: ...


def tolerates(toleration: Toleration, taint: AnyTaint) -> bool:
    """Whether one matches the other; an empty key or effect of a toleration matches all of them."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    return bool(toleration.key) and toleration.value == taint.value
