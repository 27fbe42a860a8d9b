"""Commands on a list as a table: which rows, which columns, and the whole of it in a file."""

from __future__ import annotations

from .command import command
from .desk import Choice, Desk


@command(
    "problems",
    "ctrl+z",
    title="Only problems",
    help="Only rows whose state asks for attention, and all again",
    on=("list",),
    group="Table",
)
def problems(desk: Desk) -> None:
    desk.toggle("problems")


@command(
    "columns",
    "ctrl+w",
    title="Columns",
    help="Choose which columns this kind's list has",
    on=("list",),
    group="Table",
)
async def columns(desk: Desk) -> None:
    await desk.choose_columns()


@command(
    "whole",
    "plus",
    title="Whole screen",
    help="The list without its preview and charts, and back",
    on=("list",),
    group="Table",
)
def whole(desk: Desk) -> None:
    desk.toggle("whole")


@command(
    "save-table",
    "ctrl+s",
    title="Save the list",
    help="As CSV, as JSON, or the screen as a picture",
    on=("list",),
    group="Table",
)
async def save_table(desk: Desk) -> None:
    choices = [
        Choice("csv", "CSV"),
        Choice("json", "JSON"),
        Choice("picture", "Picture (SVG)"),
        Choice("cancel", "Cancel"),
    ]
    answer = await desk.ask("Save the list as", [], choices, "csv")
    if answer not in (None, "cancel"):
        await desk.save(str(answer))


@command(
    "picture",
    "f12",
    title="Save a picture",
    help="The screen as it is, as SVG",
    group="General",
)
async def picture(desk: Desk) -> None:
    await desk.save("picture")
