"""How soon a container's program runs, beside a C program that does the same, crun and runc.

All take turns in one run, so that whatever else the machine does meets each of them. Clocks begin
when a start is asked for, and are read by the container's own first instruction, and when its end
is known. An OCI runtime joins no layers, so its start is less work than ours.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import podstart
from tests.bench.lab import both, lab
from tests.bench.native import Start
from tests.bench.table import Row

STARTS = 10
ROUNDS_PER_RUN = 4

Starter = Callable[[], Awaitable[Start]]


@dataclass
class Variant:
    """One way to start the container; `rounds` holds what each turn measured."""

    name: str
    start: Starter
    each: int = STARTS
    rounds: list[list[Start]] = field(default_factory=list)

    def values(self, of: str) -> list[float]:
        return [getattr(start, of) for turn in self.rounds for start in turn]

    def median(self, turn: int) -> float:
        return statistics.median(start.first for start in self.rounds[turn])


def measure(runs: int) -> list[Row]:
    """First instruction and end, for each runtime; the bars are DESIGN's."""
    with urgent(), tempfile.TemporaryDirectory(prefix="pdb") as folder:
        variants = asyncio.run(_measure(Path(folder), runs * ROUNDS_PER_RUN))
    _show(variants)
    submitted = podstart.measure(4 * runs)
    median = statistics.median(submitted)
    print(f"pod created through the API to first instruction: {median:.1f} ms", end=" ")
    print(f"(median of {len(submitted)})\n")
    return _rows(variants)


async def _measure(folder: Path, rounds: int) -> list[Variant]:
    async with lab(folder) as made:
        _same(*await both(made))
        variants = [
            Variant("C floor, nothing prepared", lambda: made.floor.time("cold")),
            Variant("C floor, sandbox prepared", lambda: made.floor.time("prepared")),
            Variant("Podarium, nothing prepared", made.ours.cold),
            Variant("Podarium, sandbox prepared", made.ours.in_sandbox),
            Variant("Podarium, announced", made.ours.announced),
            Variant("Podarium, created", made.ours.created),
        ]
        for peer in made.peers:
            variants.append(Variant(f"{peer.name} run", peer.run, each=peer.each))
            if peer.created is not None:
                variants.append(
                    Variant(f"{peer.name} start, created", peer.created, each=peer.each)
                )
        for _ in range(rounds):
            for variant in variants:
                turn = [await variant.start() for _ in range(variant.each)]
                variant.rounds.append(turn)
    return variants


def _same(floor: dict[str, object], ours: dict[str, object]) -> None:
    """A floor that isolates less would be no floor."""
    for key in floor.keys() | ours.keys():
        if floor.get(key) != ours.get(key):
            raise AssertionError(f"{key}: floor {floor.get(key)}, ours {ours.get(key)}")


def _show(variants: list[Variant]) -> None:
    cold, prepared = variants[0], variants[1]
    print(f"{'ms':28} {'first p10':>9} {'median':>8} {'reaped':>8} {'CPU':>6}", end="")
    print(f" {'/ C cold':>9} {'/ C prepared':>13}  starts")
    for variant in variants:
        first, reaped = variant.values("first"), statistics.median(variant.values("reaped"))
        cpu = statistics.mean(variant.values("cpu"))
        p10 = statistics.quantiles(first, n=10)[0]
        ratios = [statistics.median(_ratios(variant, floor)) for floor in (cold, prepared)]
        print(
            f"{variant.name:28} {p10:9.2f} {statistics.median(first):8.2f} {reaped:8.2f} {cpu:6.1f}"
            f" {ratios[0]:9.2f} {ratios[1]:13.2f}  {len(first)}"
        )
    print()


def _ratios(variant: Variant, other: Variant) -> list[float]:
    """To the first instruction, of medians, turn by turn: so each meets the same weather."""
    return [variant.median(turn) / other.median(turn) for turn in range(len(variant.rounds))]


def _rows(variants: list[Variant]) -> list[Row]:
    floor, _, ours_cold, _, announced, created, *others = variants
    return [
        Row("start, created / C floor", "x", _ratios(created, floor), 1.0),
        Row("start, announced / C floor", "x", _ratios(announced, floor), 1.0),
        Row("start, nothing prepared / C floor", "x", _ratios(ours_cold, floor), 2.0),
        *(
            Row(f"start, created / {other.name}", "x", _ratios(created, other), _bar(other))
            for other in others
        ),
        *(
            Row(f"start, announced / {other.name}", "x", _ratios(announced, other))
            for other in others
        ),
    ]


def _bar(other: Variant) -> float | None:
    """That of the design is for `crun run` and `runc run`."""
    return 0.2 if other.name.endswith("run") else None


@contextmanager
def urgent() -> Iterator[None]:
    """Ahead of whatever else the machine does, and so everything that is started meanwhile."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, usual)
