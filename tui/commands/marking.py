"""Commands that mark rows, for what is then done to all of them."""

from __future__ import annotations

from .command import command
from .desk import Desk


@command(
    "mark-row",
    "space",
    title="Mark",
    help="Mark the row, or take its mark away; what is done next is done to all marked",
    hint="mark",
    rank=15,
    on=("list",),
    group="Marks",
)
def mark(desk: Desk) -> None:
    desk.toggle_mark()


@command(
    "mark-range",
    "ctrl+@",
    title="Mark up to here",
    help="From the last marked row to this one (ctrl-space)",
    on=("list",),
    group="Marks",
)
def mark_range(desk: Desk) -> None:
    desk.mark_range()


@command(
    "clear-marks",
    "ctrl+backslash",
    title="Clear marks",
    help="Take all marks away",
    on=("list",),
    group="Marks",
)
def clear_marks(desk: Desk) -> None:
    if not desk.clear_marks():
        desk.flash("nothing is marked", "text")
