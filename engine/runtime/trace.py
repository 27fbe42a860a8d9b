"""What a container's start did, told step by step: its plan, kept beside it, and the times that it
took. What was done ahead of the start, by a process that waited for it, has no time."""

from __future__ import annotations

import marshal
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.linux.flags import CLONE
from engine.runtime.ops.codec import decode
from engine.runtime.plan import Plan, Step, describe

_FORM = 1
# The steps of a keeper between its own operations and those of the child.
_BETWEEN = ("clone", "hand-over")


@dataclass(frozen=True)
class TracedStep(Step):
    """`object` is what the operation was done to; without `microseconds` it was done ahead."""

    object: str = ""
    microseconds: int | None = None


def keep(plan: Plan) -> bytes:
    """A plan as a file holds it; quick to make, as it is made for every start."""
    operations = [[op.encode() for op in ops] for ops in (plan.host_ops, plan.work)]
    return marshal.dumps((_FORM, int(plan.clone_flags), *operations))


def told(kept: bytes, trace: Sequence[tuple[str, str, int]]) -> list[TracedStep]:
    """Every step of a kept plan, with what `trace` (see ContainerState) knows of it. Of a plan that
    another version kept, which we cannot read, the trace alone."""
    middle = next((n for n, (name, _, _) in enumerate(trace) if name in _BETWEEN), len(trace))
    try:
        form, flags, host_ops, child_ops = marshal.loads(kept)
        if form != _FORM:
            raise ValueError(f"form {form}")
        host, child = [decode(op) for op in host_ops], [decode(op) for op in child_ops]
    except (EOFError, KeyError, TypeError, ValueError):
        return [TracedStep("", name, about, "", about, us) for name, about, us in trace]
    steps = [
        TracedStep(step.phase, step.op, step.text, step.shell, about)
        for step, about in zip(
            describe(host, CLONE(flags), child),
            [*(op.about for op in host), "", *(op.about for op in child)],
            strict=True,
        )
    ]
    for place, (_, _, us) in zip(range(len(host) - middle, len(host)), trace[:middle], strict=True):
        steps[place] = replace(steps[place], microseconds=us)
    after = trace[middle + 1 :]
    for place, (_, _, us) in zip(range(len(steps) - len(after), len(steps)), after, strict=True):
        steps[place] = replace(steps[place], microseconds=us)
    for name, about, us in trace[middle : middle + 1]:
        if name == "clone":
            steps[len(host)] = replace(steps[len(host)], object=about, microseconds=us)
        else:
            text = f"hand the rest {about}"
            handed = TracedStep("namespaces", name, text, "", about, us)
            steps.insert(len(steps) - len(after), handed)
    return steps
