"""What a benchmark says: a figure's median and spread beside what it must reach."""

from __future__ import annotations

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measured thing; `values` in `unit`, lower is better, `bar` is the most it may be."""

    name: str
    unit: str
    values: list[float]
    bar: float

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def holds(self) -> bool:
        return self.median <= self.bar


def show(rows: list[Row]) -> None:
    """Print a table on standard output."""
    print(f"{'what':44} {'median':>9} {'least':>9} {'most':>9} {'bar':>9}  unit")
    for row in rows:
        mark = "" if row.holds else "  over the bar"
        print(
            f"{row.name:44} {row.median:9.3f} {min(row.values):9.3f} {max(row.values):9.3f}"
            f" {row.bar:9.3f}  {row.unit}{mark} ({len(row.values)} runs)"
        )
