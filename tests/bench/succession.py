"""What it costs that a keeper changes under its containers: fifty, and a thousand, that are idle.

re-exec     from the request for another program to its answer; the new one is tried first
pause       the longest that another engine, which asks without a pause, waits meanwhile
adoption    from the death of a keeper to another one that has all that the engine held
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

from engine.home import ClusterPaths, NodePaths
from engine.runtime import program
from engine.runtime.cgroup.api import Resources, detect
from engine.runtime.plan import Target, compile
from engine.runtime.runtime import ContainerConfig, Runtime, SandboxConfig
from engine.runtime.spec import default_spec
from tests.bench.table import Row

COUNTS = (50, 1000)
# The trial is a Python that starts and imports the keeper, which does not depend on how many.
_BARS = {50: (0.5, 0.25, 1.0), 1000: (1.5, 1.0, 3.0)}


def measure(runs: int) -> list[Row]:
    """Seconds, for each number of containers."""
    rows = []
    for count in COUNTS:
        folder = Path(tempfile.mkdtemp(prefix="pdmb", dir="/tmp"))
        try:
            found = asyncio.run(_measure(folder, count, runs))
        finally:
            detect().remove(ClusterPaths.of(folder, "t").cgroup)
            shutil.rmtree(folder)
        names = ("re-exec", "pause", "adoption")
        for name, values, bar in zip(names, found, _BARS[count], strict=True):
            rows.append(Row(f"keeper of {count}: {name}", "s", values, bar))
    return rows


async def _measure(folder: Path, count: int, runs: int) -> tuple[list[float], ...]:
    paths = ClusterPaths.of(folder, "t").node("n")
    runtime = await Runtime.launch(paths, "n")
    re_execs, pauses, adoptions = [], [], []
    try:
        await _fill(runtime, folder, paths.cgroup, count)
        for number in range(runs):
            began = time.monotonic()
            asking = asyncio.create_task(_longest_wait(paths, began + 0.05))
            await asyncio.sleep(0.02)
            began = time.monotonic()
            words = (*program.words(paths, "n")[:-1], str(number))
            await runtime.become(program.interpreter(), words)
            re_execs.append(time.monotonic() - began)
            pauses.append(await asking)
            await runtime.become(program.interpreter(), program.words(paths, "n"))
            lost = runtime
            began = time.monotonic()
            os.kill(lost.keeper_pid, signal.SIGKILL)
            await lost.lost.wait()
            runtime = await Runtime.launch(paths, "n", lost)
            adoptions.append(time.monotonic() - began)
        running = [state for state in await runtime.containers() if state.running]
        assert len(running) == count, runtime.beginning.text
    finally:
        await runtime.shutdown()
        runtime.close()
    return re_execs, pauses, adoptions


async def _fill(runtime: Runtime, folder: Path, cgroup: bytes, count: int) -> None:
    layer = folder / "layer"
    for name in ("bin", "etc", "proc", "dev", "sys", "tmp"):
        (layer / name).mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox is not None, "the benchmark's containers run busybox: install busybox-static"
    shutil.copy2(busybox, layer / "bin" / "sleep")
    await runtime.create_sandbox(SandboxConfig(id="pod", hostname="h", cgroup=cgroup + b"/pod"))
    for number in range(count):
        mine = folder / str(number)
        for name in ("upper", "work"):
            (mine / name).mkdir(parents=True)
        plan = compile(
            default_spec(("/bin/sleep", "100000")),
            Target(
                container_id=str(number),
                sandbox="pod",
                lowerdirs=(layer,),
                upper=mine / "upper",
                work=mine / "work",
                cgroup=cgroup + b"/pod/%d" % number,
                hierarchy=detect(),
                resources=Resources(pids_limit=10),
            ),
        )
        log = folder / "log" / f"{number}.log"
        await runtime.start(ContainerConfig(id=str(number), sandbox="pod", plan=plan, log_path=log))


async def _longest_wait(paths: NodePaths, until: float) -> float:
    """Of an engine that asks again as soon as it is answered, at least so long, and over a change
    of the keeper's program."""
    runtime = await Runtime.attach(paths)
    assert runtime is not None
    before, longest = runtime.digest, 0.0
    try:
        while time.monotonic() < until or runtime.digest == before:
            began = time.monotonic()
            await runtime.sandboxes()
            longest = max(longest, time.monotonic() - began)
    finally:
        runtime.close()
    return longest
