"""Commands of the log view, and of text."""

from __future__ import annotations

from dataclasses import replace

from ..model.log_range import RANGES
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
    "json",
    "J",
    title="JSON",
    help="Lines that are JSON: as they are, folded into one, opened into many",
    on=("logs",),
    group="Logs",
)
def json(desk: Desk) -> None:
    desk.toggle("json")


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
    if place.kind != "pods" or not place.part:
        desk.flash("choose one container first: a, or ]", "warn")
        return
    desk.replace(replace(place, previous=not place.previous))


def _range_keys() -> None:
    """0 to 6: the end, the beginning, or so much time up to now."""
    for digit, found in enumerate(RANGES):

        def choose(desk: Desk, digit: int = digit) -> None:
            desk.replace(replace(desk.place, range=RANGES[digit]))

        words = f"The last {found.name}" if found.since else f"The {found.name} of the log"
        command(f"log-{found.name}", str(digit), title=words, on=("logs",), group="Logs")(choose)


_range_keys()


@command(
    "all-containers",
    "a",
    title="All containers",
    help="The logs of all containers as one, or of one",
    hint="all",
    rank=5,
    on=("logs",),
    group="Logs",
)
def all_containers(desk: Desk) -> None:
    desk.all_parts()


@command(
    "mark", "m", title="Mark", help="A line below what is there now", on=("logs",), group="Logs"
)
def mark(desk: Desk) -> None:
    desk.mark()


@command(
    "save",
    "ctrl+s",
    title="Save",
    help="Write the log that is shown to a file",
    hint="save",
    rank=9,
    on=("logs",),
    group="Logs",
)
async def save(desk: Desk) -> None:
    await desk.save("log")


@command(
    "copy", "c", title="Copy", help="What is in sight, to the clipboard", on=("logs",), group="Logs"
)
def copy(desk: Desk) -> None:
    desk.copy()


@command(
    "next-container",
    "right_square_bracket",
    title="Next container",
    hint="container",
    rank=6,
    on=("logs", "pod", "container"),
    group="Logs",
)
def next_container(desk: Desk) -> None:
    desk.next_part(1)


@command(
    "previous-container",
    "left_square_bracket",
    title="Previous container",
    on=("logs", "pod", "container"),
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
