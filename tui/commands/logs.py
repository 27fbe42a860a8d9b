"""Commands of the log view, and of text."""

from __future__ import annotations

from ..model.place import Place
from .command import command
from .desk import Desk


@command(
    "follow",
    "s",
    title="Follow",
    help="Follow the end of the log, or stop",
    hint="follow",
    rank=1,
    on=("logs",),
    group="Logs",
)
def follow(desk: Desk) -> None:
    desk.toggle("follow")


@command(
    "wrap",
    "w",
    title="Wrap",
    help="Break long lines, or cut them",
    hint="wrap",
    rank=2,
    on=("logs",),
    group="Logs",
)
def wrap(desk: Desk) -> None:
    desk.toggle("wrap")


@command(
    "timestamps",
    "t",
    title="Timestamps",
    help="Show when each line was written",
    hint="times",
    rank=3,
    on=("logs",),
    group="Logs",
)
def timestamps(desk: Desk) -> None:
    desk.toggle("timestamps")


@command(
    "previous-life",
    "p",
    title="Previous container",
    help="The log of the container that ran before, and back",
    hint="previous",
    rank=4,
    on=("logs",),
    group="Logs",
)
def previous_life(desk: Desk) -> None:
    place = desk.place
    desk.back()
    desk.go(Place("logs", place.kind, place.key, place.part, previous=not place.previous))


@command(
    "next-container",
    "right_square_bracket",
    title="Next container",
    hint="container",
    rank=6,
    on=("logs", "pod"),
    group="Logs",
)
def next_container(desk: Desk) -> None:
    desk.next_part(1)


@command(
    "previous-container",
    "left_square_bracket",
    title="Previous container",
    on=("logs", "pod"),
    group="Logs",
)
def previous_container(desk: Desk) -> None:
    desk.next_part(-1)


@command("next-match", "n", title="Next match", hint="next", rank=5, on=("text",), group="Text")
def next_match(desk: Desk) -> None:
    desk.next_match(1)


@command("previous-match", "N", title="Previous match", on=("text",), group="Text")
def previous_match(desk: Desk) -> None:
    desk.next_match(-1)
