"""A thousand containers that do nothing, held: what the processes that hold them take.

Ours are one keeper and the engine; podman's is a conmon each. crun and runc hold none: whoever
asked them for one has to. The containers' own memory is the same for all, and not counted.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from pathlib import Path

from engine.runtime.runtime import SandboxConfig
from tests.bench.container import HOSTNAME, STAY
from tests.bench.lab import Ours, lab
from tests.bench.peers import Podman
from tests.bench.table import Row

CONTAINERS = 1000
SECONDS = 5.0
AT_ONCE = 20
_MB = 1024


def measure(runs: int) -> list[Row]:
    """Memory of a thousand, descriptors, and how busy holding them is. Once, whatever `runs`."""
    with tempfile.TemporaryDirectory(prefix="pdb") as folder:
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> list[Row]:
    async with lab(folder) as made:
        ours, keeper = made.ours, made.ours.runtime.keeper_pid
        names = [f"i{number}" for number in range(CONTAINERS)]
        before = _memory(keeper)
        began = time.monotonic()
        gate = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(_hold(ours, name, gate) for name in names))
        each = (time.monotonic() - began) * 1e3 / CONTAINERS
        after, cpu = _memory(keeper), ours.cpu()
        await asyncio.sleep(SECONDS)
        busy = (ours.cpu() - cpu) / SECONDS * 100
        rows = [
            Row(f"{CONTAINERS} held: keeper, RSS", "MB", [after[0] / _MB]),
            Row(f"{CONTAINERS} held: keeper, PSS", "MB", [after[1] / _MB]),
            Row("held: keeper, RSS each", "kB", [(after[0] - before[0]) / CONTAINERS]),
            Row("held: descriptors each", "", [_descriptors(keeper) / CONTAINERS]),
            Row("held: keeper and engine, idle", "% CPU", [busy]),
            Row("held: started, one after 20 others", "ms", [each]),
        ]
        began = time.monotonic()
        await asyncio.gather(*(_let_go(ours, name, gate) for name in names))
        each = (time.monotonic() - began) * 1e3 / CONTAINERS
        rows.append(Row("held: stopped and removed", "ms", [each]))
        for peer in (peer for peer in made.peers if isinstance(peer, Podman)):
            rss, pss = await _conmon(peer)
            rows.append(Row("held by podman: conmon, RSS each", "kB", [rss]))
            rows.append(Row("held by podman: conmon, PSS each", "kB", [pss]))
    return rows


async def _hold(ours: Ours, name: str, gate: asyncio.Semaphore) -> None:
    async with gate:
        await ours.runtime.create_sandbox(SandboxConfig(id=name, hostname=HOSTNAME))
        container = ours.container.another(name)
        await ours.runtime.start(ours.config(container, name, name, STAY))


async def _let_go(ours: Ours, name: str, gate: asyncio.Semaphore) -> None:
    async with gate:
        await ours.runtime.signal(name, signal.SIGTERM)
        await ours.end_of(name)
        await ours.runtime.remove(name)
        await ours.runtime.remove_sandbox(name)


async def _conmon(podman: Podman) -> tuple[int, int]:
    await podman.hold()
    found = _memory(podman.conmon())
    await podman.exec()
    await podman.stop()
    return found


def _memory(pid: int) -> tuple[int, int]:
    """kB: resident, and with what is shared divided by those who share it (proc_pid_smaps(5))."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {key: int(value.split()[0]) for key, value in (line.split(":") for line in lines)}
    return sizes["Rss"], sizes["Pss"]


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
