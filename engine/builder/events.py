"""What happens during a build, told as it happens; who watches draws it."""

from collections.abc import Callable
from dataclasses import dataclass

from engine.images.types import Digest


@dataclass(frozen=True, slots=True)
class Began:
    """A step is worked at. `stage` is its stage's title, `number` of `count` its place there."""

    step: int
    stage: str
    number: int
    count: int
    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """A line of a step's output, without its end."""

    step: int
    line: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """A step is over. `layer` is None when it made none; `cached`: it was known already."""

    step: int
    seconds: float
    cached: bool
    layer: Digest | None
    size: int


@dataclass(frozen=True, slots=True)
class Remark:
    """Something a person should know."""

    text: str


Event = Began | Said | Done | Remark
Watch = Callable[[Event], None]


def unwatched(event: Event) -> None:
    """Nobody looks."""
