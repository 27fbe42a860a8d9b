"""The panel of a replay: which step it is, what it does, the shell's words for it, its time."""

from __future__ import annotations

from ..model.replay import Replay, Step
from ..render import numbers
from ..render.spans import Block, Line, Span, boxed, crop, wrapped
from ..render.text import inert

SHELL_ROWS = 2


def replay_panel(replay: Replay, width: int) -> Block:
    """It has the same height at every step, so that nothing below it moves."""
    inner = width - 4
    step = replay.step
    body: Block = [_bar(replay, inner)]
    if step is None:
        body.append((("before the start: ", "dim"), ("→", "key"), (" does the first step", "dim")))
        body += [((" ", "text"),)] * SHELL_ROWS
    else:
        body.append(_words(step, inner))
        shell = wrapped(inert(step.shell or "# the shell has no words for it"), inner - 2)
        rows = shell[:SHELL_ROWS]
        if len(shell) > SHELL_ROWS:
            rows[-1] = crop(rows[-1] + " …", inner - 2)
        body += [
            (("$ " if not index else "  ", "accent"), (row, "bright"))
            for index, row in enumerate(rows)
        ]
        body += [((" ", "text"),)] * (SHELL_ROWS - len(rows))
    state = "▶" if replay.playing else "▮▮"
    title: list[Span] = [("replay of its start ", "text bold"), (state, "busy")]
    title.append((f" {replay.speed:g} steps/s", "dim"))
    count: list[Span] = [(f"{replay.at + 1}/{len(replay.steps)}", "bright bold")]
    count.append((f"  all of it took {_time(replay.took_us)}", "dim"))
    return boxed(body, width, title=title, note=count, role="focus")


def _bar(replay: Replay, width: int) -> Line:
    """A stretch for each step, as they follow; what is done is filled."""
    count = max(1, len(replay.steps))
    done = round((replay.at + 1) / count * width)
    return (("━" * done, "accent"), ("━" * (width - done), "track"))


def _words(step: Step, width: int) -> Line:
    took = "done ahead, while the image was looked for" if step.us is None else _time(step.us)
    text = crop(inert(step.text), max(8, width - len(step.op) - len(took) - 4))
    return (
        (inert(step.op), "accent bold"),
        (f"  {text}", "text"),
        (f"  {took}", "faint" if step.us is None else "limit"),
    )


def _time(us: int) -> str:
    return f"{us} µs" if us < 1000 else numbers.milliseconds(us / 1000)
