"""Changing the cluster: what is done is noted as a command line, and how it went is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from engine.client.errors import Unreachable
from engine.types.meta import Object
from engine.types.status import StatusError

from ..render.numbers import plural
from .desk import Desk

Subject = tuple[str, str, Object]
"""Plural, key, object."""


async def carry_out(desk: Desk, line: str, act: Awaitable[object], said: str = "") -> bool:
    """Do it; whether it was done. `said`: in words, that it was."""
    try:
        await act
    except (StatusError, Unreachable) as error:
        desk.record(line, str(error))
        desk.flash(str(error), "bad")
        return False
    desk.record(line)
    if said:
        desk.flash(said, "ok")
    return True


async def each(
    desk: Desk,
    subjects: Sequence[Subject],
    line: Callable[[Subject], str],
    act: Callable[[Subject], Awaitable[object]],
    said: tuple[str, str],
) -> None:
    """Do it to each, though it may fail for some. `said` follows the name, or how many there are:
    `is being deleted`, `are being deleted`."""
    done: list[Subject] = []
    for subject in subjects:
        if await carry_out(desk, line(subject), act(subject)):
            done.append(subject)
    one, many = said
    if len(subjects) == len(done) == 1:
        desk.flash(f"{subjects[0][1]} {one}", "ok")
    elif len(done) == len(subjects):
        desk.flash(f"{plural(len(done), _noun(subjects[0][0]))} {many}", "ok")
    elif len(subjects) > 1:
        desk.flash(f"{len(done)} of {len(subjects)} {many}; :log says why not the others", "bad")


def _noun(kind: str) -> str:
    from ..model.columns import listing

    return listing(kind).noun
