"""Entering and stopping a container that runs: the engine beside the floor, crun, runc and podman.

exec    another process in it, to that one's first instruction
stop    SIGTERM, until its end is known and all of it is gone: process, mounts, cgroups, state
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from tests.bench.lab import lab
from tests.bench.native import Floor, Start
from tests.bench.start import urgent
from tests.bench.table import Row, compare

ROUNDS_PER_RUN = 4
EXECS = 5


class Held(Protocol):
    """Whatever holds a container; its methods take turns."""

    def hold(self) -> Awaitable[None]: ...
    def exec(self) -> Awaitable[Start]: ...
    def stop(self) -> Awaitable[Start]: ...


class _Floor:
    def __init__(self, floor: Floor) -> None:
        self.exec: Callable[[], Awaitable[Start]] = lambda: floor.time("exec")
        self.stop: Callable[[], Awaitable[Start]] = lambda: floor.time("stop")
        self._floor = floor

    async def hold(self) -> None:
        await self._floor.time("hold")


def measure(runs: int) -> list[Row]:
    """Both, for each."""
    with urgent(), tempfile.TemporaryDirectory(prefix="pdb") as folder:
        found = asyncio.run(_measure(Path(folder), runs * ROUNDS_PER_RUN))
    compare("ms, median", found)
    ours = found["Podarium"]
    return [
        Row(f"{what} / {name}", "x", [a / b for a, b in zip(ours[what], theirs[what], strict=True)])
        for what in ("exec to first instruction", "stop until all is gone")
        for name, theirs in found.items()
        if theirs is not ours
    ]


async def _measure(folder: Path, rounds: int) -> dict[str, dict[str, list[float]]]:
    async with lab(folder) as made:
        holders: dict[str, Held] = {"C floor": _Floor(made.floor), "Podarium": made.ours}
        holders |= {peer.name: peer for peer in made.peers}
        found: dict[str, dict[str, list[float]]] = {name: {} for name in holders}
        for _ in range(rounds):
            for name, held in holders.items():
                await held.hold()
                execs = [(await held.exec()).first for _ in range(EXECS)]
                stop = await held.stop()
                row = found[name]
                row.setdefault("exec to first instruction", []).append(min(execs))
                row.setdefault("stop until all is gone", []).append(stop.reaped)
    return found
