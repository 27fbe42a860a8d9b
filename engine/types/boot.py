"""The engine's start, told step by step: one BootStep per line of JSON in the boot log."""

from __future__ import annotations

from typing import Annotated, Literal

from engine.types.declare import F, Type, always


class BootStep(Type, kw_only=True):
    """A step of the start begins, ends or fails."""

    step: Annotated[str, F("Its name, for people.")] = always("")
    t: Annotated[float, F("Seconds since the start of the engine.")] = always(float)
    ms: Annotated[float | None, F("How long it took, once it has ended.")] = None
    state: Annotated[Literal["started", "done", "failed"], F("What happened.")] = always("started")
    detail: Annotated[str, F("A few words more: a count, an address, an error.")] = ""
