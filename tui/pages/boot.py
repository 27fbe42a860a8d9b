"""The start of a cluster, step by step, until the API answers."""

from __future__ import annotations

from ..model.boot import Boot
from ..render.numbers import milliseconds
from ..render.page import Page
from ..render.spans import EMPTY, Block, Line, Span, boxed, centred, crop, spread, wrapped
from ..render.text import inert

_SPIN = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


def boot_page(
    boot: Boot, name: str, now: float, width: int, height: int, problem: str = ""
) -> Page:
    """What has been started, how long each step took, and what failed."""
    size = min(76, width - 4)
    inner = size - 4
    rows: Block = [_row(step, now, inner) for step in boot.steps.values()]
    if not rows:
        spin = _SPIN[int(now * 10) % len(_SPIN)]
        words = "starting the engine" if boot.file is not None else "waiting for the API"
        rows = [((f"{spin} ", "accent"), (words, "text"))]
        if boot.file is None:
            rows += [((f"  {text}", "dim"),) for text in wrapped(inert(problem), inner - 2)]
    if boot.failed:
        rows.append(EMPTY)
        rows += [((text, "bad"),) for text in wrapped(inert(boot.failed), inner)]
        rows.append(EMPTY)
        rows.append((("the engine's own words are in ", "dim"), ("engine.log", "key")))
        if boot.file is not None:
            rows.append((("the steps are in ", "dim"), (crop(str(boot.file), inner - 17), "key")))
        rows.append((("q", "key"), (" leaves", "dim")))
    elif boot.ready:
        rows.append((("● ", "ok"), ("the API answers", "text")))
    title: list[Span] = [("◉ podarium ", "accent bold"), (inert(name), "text")]
    note: list[Span] = [(f"{boot.seconds(now):.1f} s", "dim")]
    frame = boxed(rows, size, title=title, note=note, role="bad" if boot.failed else "line")
    return Page(centred(frame, width, height))


def _row(step: object, now: float, width: int) -> Line:
    state = step.state  # type: ignore[attr-defined]
    glyph, role = {
        "done": ("✔", "ok"),
        "failed": ("✖", "bad"),
        "started": (_SPIN[int(now * 10) % len(_SPIN)], "accent"),
    }[state]
    took = step.ms  # type: ignore[attr-defined]
    right: list[Span] = [(f"  {milliseconds(took)}", "dim")] if took is not None else []
    left: list[Span] = [(f"{glyph} ", role), (inert(step.step), "text")]  # type: ignore[attr-defined]
    detail = step.detail  # type: ignore[attr-defined]
    if detail and state != "failed":
        left.append((f"  {inert(detail)}", "faint"))
    return spread(left, right, width)
