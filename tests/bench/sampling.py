"""What one tick over a thousand containers costs: our samplers beside a C loop of pread(2).

Both read the same files through descriptors that stay open; ours also makes numbers of what they
say. They take turns, tick by tick.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from engine.runtime.cgroup.api import detect
from engine.runtime.cgroup.sampling import Sampler
from tests.bench.container import build
from tests.bench.table import Row

CONTAINERS = 1000
TICKS_PER_RUN = 50


def measure(runs: int) -> list[Row]:
    """A tick of each, and how they compare."""
    hierarchy, top = detect(), f"podarium-bench-{os.getpid()}".encode()
    paths = [b"%s/%d" % (top, number) for number in range(CONTAINERS)]
    samplers: list[Sampler] = []
    try:
        for path in paths:
            hierarchy.create(path)
            samplers.append(hierarchy.sampler(path))
        with tempfile.TemporaryDirectory() as folder:
            ours, floor = _race(samplers, Path(folder), runs * TICKS_PER_RUN)
    finally:
        for sampler in samplers:
            sampler.close()
        hierarchy.remove(top)
    ratios = [mine / least for mine, least in zip(ours, floor, strict=True)]
    print(f"tick of {CONTAINERS}: {statistics.median(ours):.2f} ms,", end=" ")
    print(f"a C loop of pread {statistics.median(floor):.2f} ms ({len(ours)} ticks)\n")
    return [Row(f"sampling {CONTAINERS} containers / C", "x", ratios, 1.5)]


def _race(samplers: list[Sampler], folder: Path, ticks: int) -> tuple[list[float], list[float]]:
    """Milliseconds of every tick: ours, the floor's."""
    files = [os.readlink(f"/proc/self/fd/{fd}") for each in samplers for fd in each._fds]
    program = build("sample", folder)
    ours, floor = [], []
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n".join([str(len(files)), *files, ""]).encode())
        for _ in range(ticks):
            process.stdin.write(b"\n")
            process.stdin.flush()
            floor.append(int(process.stdout.readline()) / 1e6)
            began = time.perf_counter_ns()
            for sampler in samplers:
                sampler.sample()
            ours.append((time.perf_counter_ns() - began) / 1e6)
        process.stdin.close()
    return ours, floor
