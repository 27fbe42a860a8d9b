"""The engine's start as it tells it: one line of JSON a step, read while it is written."""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine.types.boot import BootStep


class Boot:
    """The steps so far. `read` takes in what the file has gained."""

    def __init__(self, file: Path | None, t0: float) -> None:
        self.file = file
        self.t0 = t0
        """When it began, on the clock that `seconds` is asked with."""
        self.steps: dict[str, BootStep] = {}
        self.failed = ""
        """The failed step and its words."""
        self.ready = False
        """Whether the API answers."""
        self._offset = 0
        self._ended: float | None = None
        self._decoder = msgspec.json.Decoder(BootStep)

    def read(self) -> bool:
        """Take in new steps; tell whether there were any. A line still being written waits."""
        if self.file is None:
            return False
        try:
            with self.file.open("rb") as stream:
                stream.seek(self._offset)
                text = stream.read()
        except FileNotFoundError:
            return False
        whole, newline, _ = text.rpartition(b"\n")
        if not newline:
            return False
        self._offset += len(whole) + 1
        for line in whole.split(b"\n"):
            if line.strip():
                self._take(self._decoder.decode(line))
        return True

    def _take(self, step: BootStep) -> None:
        self.steps[step.step] = step
        if step.state == "failed":
            self.failed = f"{step.step}: {step.detail}" if step.detail else step.step

    def seconds(self, now: float) -> float:
        """How long it has taken, or took."""
        if self.ready or self.failed:
            self._ended = self._ended if self._ended is not None else now
        return max(0.0, (self._ended if self._ended is not None else now) - self.t0)
