"""`python -m tests.bench [NAME...]`: run the benchmarks and print their tables. Needs root."""

from __future__ import annotations

import argparse
import os
import sys

from tests.bench import (
    api,
    boot,
    burst,
    explore,
    idle,
    images,
    keys,
    life,
    pods,
    sampling,
    scheduling,
    start,
    succession,
)
from tests.bench.table import Row, show

BENCHMARKS = {
    "boot": boot.measure,
    "pods": pods.measure,
    "scheduling": scheduling.measure,
    "api": api.measure,
    "start": start.measure,
    "life": life.measure,
    "burst": burst.measure,
    "idle": idle.measure,
    "sampling": sampling.measure,
    "keys": keys.measure,
    "explore": explore.measure,
    "images": images.measure,
    "succession": succession.measure,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--runs", type=int, default=5)
    words = parser.parse_args()
    unknown = set(words.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there is {', '.join(BENCHMARKS)}")
    if os.geteuid() != 0:
        sys.exit("tests.bench: containers need root")
    rows: list[Row] = []
    for name in words.names or BENCHMARKS:
        rows += BENCHMARKS[name](words.runs)
    show(rows)
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
