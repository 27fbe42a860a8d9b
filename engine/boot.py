"""The engine's start, told step by step: a JSON line per change, in a file that anyone may follow.

A screen that starts together with the engine has nothing else to show yet, and a start that failed
leaves its last words there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from engine.types.boot import BootStep

READY = "ready"
"""The last step: the API answers, the nodes are up, images are there, manifests are applied."""

Listener = Callable[[BootStep], None]


class BootLog:
    """Appends BootStep lines; times are seconds since `started` (time.monotonic())."""

    def __init__(self, path: Path, started: float) -> None:
        self._file = path.open("ab", buffering=0)
        self._started = started

    @contextmanager
    def step(self, name: str, detail: str = "") -> Iterator[BootStep]:
        """Tell that a step begins and how it ended; `detail` may be set while it runs."""
        began = time.monotonic()
        note = BootStep(step=name, t=began - self._started, state="started", detail=detail)
        self._write(note)
        try:
            yield note
        except BaseException as error:
            note.detail = str(error) or type(error).__name__
            self._end(note, "failed", began)
            raise
        self._end(note, "done", began)

    def _end(self, note: BootStep, state: Literal["done", "failed"], began: float) -> None:
        now = time.monotonic()
        note.state, note.t, note.ms = state, now - self._started, (now - began) * 1000
        self._write(note)

    def _write(self, note: BootStep) -> None:
        self._file.write(msgspec.json.encode(note) + b"\n")

    def close(self) -> None:
        self._file.close()


def read(path: Path, offset: int = 0) -> tuple[list[BootStep], int]:
    """The whole lines written since `offset`, and the offset to go on from."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], offset
    whole = data.rfind(b"\n") + 1
    steps = [msgspec.json.decode(line, type=BootStep) for line in data[:whole].splitlines()]
    return steps, offset + whole
