"""What a benchmark says: a figure's median and spread beside what it must reach."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measured thing; `values` in `unit`, lower is better, `bar` is the most it may be, if
    there is one."""

    name: str
    unit: str
    values: list[float]
    bar: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def holds(self) -> bool:
        return self.bar is None or self.median <= self.bar


def show(rows: list[Row]) -> None:
    """Print a table on standard output."""
    print(f"{'what':44} {'median':>9} {'least':>9} {'most':>9} {'bar':>9}  unit")
    for row in rows:
        mark = "" if row.holds else "  over the bar"
        bar = "" if row.bar is None else f"{row.bar:.3f}"
        print(
            f"{row.name:44} {row.median:9.3f} {min(row.values):9.3f} {max(row.values):9.3f}"
            f" {bar:>9}  {row.unit}{mark} ({len(row.values)} runs)"
        )


def compare(what: str, columns: Mapping[str, Mapping[str, list[float]]]) -> None:
    """Print medians of the same things, one a line, beside each other, a column for each of those
    that did them; what one of them does not do is left out."""
    lines = dict.fromkeys(line for column in columns.values() for line in column)
    print(f"{what:34}" + "".join(f" {name:>12}" for name in columns))
    for line in lines:
        cells = (
            f"{statistics.median(column[line]):12.2f}" if line in column else f"{'':12}"
            for column in columns.values()
        )
        print(f"{line:34} " + " ".join(cells))
    print()
