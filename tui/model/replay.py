"""How a container was started, to be gone through step by step: forwards, backwards, by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SECTIONS = ("cgroup", "namespaces", "rootfs", "mounts", "confine", "process")
"""Parts of the drawing, which the steps make one after the other."""

SPEEDS = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Steps a second."""

_BY_OP = {
    # Of the root filesystem only what makes it seen.
    "private-mounts": "namespaces",
    "stdio": "process",
    "workdir": "process",
}
_BY_PHASE = {"exec": "process"}


@dataclass(frozen=True)
class Step:
    """One operation of the plan, as the engine tells it. Without `us` it was done ahead."""

    phase: str
    op: str
    text: str
    shell: str
    object: str
    us: int | None

    @property
    def section(self) -> str:
        """The part of the drawing that it makes."""
        found = _BY_OP.get(self.op) or _BY_PHASE.get(self.phase, self.phase)
        return found if found in SECTIONS else "process"


def steps_of(trace: Mapping[str, Any]) -> list[Step]:
    """The engine's answer as steps; what is not one is left out."""
    found = trace.get("steps")
    found = found if isinstance(found, list) else []
    return [_step(step) for step in found if isinstance(step, dict)]


def _step(data: Mapping[str, Any]) -> Step:
    us = data.get("microseconds")
    phase, op, text, shell, about = (
        str(data.get(name, "")) for name in ("phase", "op", "text", "shell", "object")
    )
    return Step(phase, op, text, shell, about, us if isinstance(us, int) else None)


class Replay:
    """Where one is in it. `at` is the step that is being done; -1 is before the first."""

    def __init__(self, steps: list[Step], took_us: int) -> None:
        self.steps = steps
        self.took_us = took_us
        """Microseconds of the whole start."""
        self.at = -1
        self.playing = False
        self._speed = 1

    @property
    def step(self) -> Step | None:
        """What is being done."""
        return self.steps[self.at] if 0 <= self.at < len(self.steps) else None

    @property
    def speed(self) -> float:
        """Steps a second."""
        return SPEEDS[self._speed]

    def move(self, count: int) -> None:
        """Forwards or backwards; it does not go on by itself beyond the end."""
        self.at = max(-1, min(len(self.steps) - 1, self.at + count))
        if self.at == len(self.steps) - 1:
            self.playing = False

    def edge(self, end: bool) -> None:
        """To the last step, or before the first."""
        self.move(len(self.steps) if end else -len(self.steps) - 1)

    def play(self) -> None:
        """Go on by itself, or stop; from the beginning when it was at the end."""
        self.playing = not self.playing
        if self.playing and self.at >= len(self.steps) - 1:
            self.at = -1

    def faster(self, step: int) -> None:
        """To the next speed, or the one before."""
        self._speed = max(0, min(len(SPEEDS) - 1, self._speed + step))

    def look(self, section: str) -> str:
        """How a part of the drawing stands: `now` being made, `done` or `todo`."""
        step = self.step
        if step is not None and step.section == section:
            return "now"
        made = {step.section for step in self.steps[: self.at + 1]}
        return "done" if section in made else "todo"
