"""The ports of pods that are reached from here."""

from __future__ import annotations

from ..model.forwards import Forward, Forwards
from ..render.page import Hit, Page
from ..render.spans import EMPTY, Line, cells, centred, clip, line
from ..render.text import inert

_STATES = {"listening": ("●", "ok"), "connecting": ("◌", "busy"), "lost": ("▲", "bad")}


def forwards_page(forwards: Forwards, width: int, height: int, target: str) -> Page:
    """A line each, and a second one for what went wrong."""
    if not forwards.all:
        return Page(centred(_NONE, width, height))
    page = Page([EMPTY])
    for made in forwards.all:
        _draw(page, made, width, target)
    return page


_NONE = [
    line(("No port is reached from here", "text bold")),
    line(("F", "key"), (" on a pod reaches one of its ports", "dim")),
]


def _draw(page: Page, made: Forward, width: int, target: str) -> None:
    here = f"forward:{made.id}"
    glyph, role = _STATES[made.state]
    ground = " @cursor" if here == target else ""
    state = f" {glyph} {made.state:<11}"
    row: Line = (
        (state, role),
        (made.url, f"bright bold{ground}"),
        ("  → ", "faint"),
        (inert(f"{made.namespace}/{made.pod}"), "text"),
        (f" port {made.remote}", "dim"),
    )
    page.hits.append(Hit(len(page.lines), cells(state), cells(made.url), here))
    page.lines.append(clip(row, width))
    if made.problem:
        page.lines.append(clip(((f"   {inert(made.problem)}", "warn"),), width))
