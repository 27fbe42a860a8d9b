"""A hundred containers asked for at once, each with a sandbox, layers and cgroup of its own: until
every one has run its program, has ended, and is gone.

The floor does them one after the other, in two processes at once, one for each core that there is.
"""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import tempfile
import time
from pathlib import Path

from engine.runtime.runtime import ContainerConfig, SandboxConfig
from tests.bench.container import HOSTNAME, Container
from tests.bench.lab import Lab, Ours, lab
from tests.bench.native import V1_ALONE, Floor
from tests.bench.peers import Peer
from tests.bench.start import urgent
from tests.bench.table import Row, compare

CONTAINERS = 100
FEWER = 20
"""Of those that start one in a tenth of a second."""


def measure(runs: int) -> list[Row]:
    """Milliseconds for each container of a burst."""
    with urgent(), tempfile.TemporaryDirectory(prefix="pdb") as folder:
        found = asyncio.run(_measure(Path(folder), runs))
    line = f"burst of {CONTAINERS}: ms a container"
    compare(line, {name: {"all of them gone": values} for name, values in found.items()})
    ours = found["Podarium"]
    return [
        Row(f"burst / {name}", "x", [a / b for a, b in zip(ours, theirs, strict=True)])
        for name, theirs in found.items()
        if theirs is not ours
    ]


async def _measure(folder: Path, runs: int) -> dict[str, list[float]]:
    async with lab(folder) as made:
        names = [f"b{number}" for number in range(CONTAINERS)]
        containers = [made.ours.container.another(name) for name in names]
        found: dict[str, list[float]] = {"C floor": [], "Podarium": []}
        found |= {peer.name: [] for peer in made.peers}
        for _ in range(runs):
            found["C floor"].append(await _floor(made))
            found["Podarium"].append(await _ours(made.ours, containers))
            for peer in made.peers:
                found[peer.name].append(_theirs(peer, folder))
    return found


async def _floor(made: Lab) -> float:
    began = time.monotonic()
    floors = (made.floor, made.second)
    await asyncio.gather(*(asyncio.to_thread(_in_turn, f, CONTAINERS // 2) for f in floors))
    return (time.monotonic() - began) * 1e3 / CONTAINERS


def _in_turn(floor: Floor, number: int) -> None:
    for _ in range(number):
        floor.do("cold")


async def _ours(ours: Ours, containers: list[Container]) -> float:
    configs = [
        ours.config(container, container.folder.name, container.folder.name)
        for container in containers
    ]
    began = time.monotonic()

    async def one(id: str, config: ContainerConfig) -> None:
        await ours.runtime.create_sandbox(SandboxConfig(id=id, hostname=HOSTNAME))
        await ours.runtime.start(config)
        state, _ = await ours.end_of(id)
        assert state.exit_code == 0, state
        await ours.runtime.remove(id)
        await ours.runtime.remove_sandbox(id)

    await asyncio.gather(*(one(config.id, config) for config in configs))
    return (time.monotonic() - began) * 1e3 / len(containers)


def _theirs(peer: Peer, folder: Path) -> float:
    number = CONTAINERS if peer.created is not None else FEWER
    script = folder / "burst.sh"
    lines = [f"{shlex.join(command)} >/dev/null &\n" for command in peer.burst(number)]
    script.write_text("".join(lines) + "wait\n")
    began = time.monotonic()
    subprocess.run([*V1_ALONE, "sh", script], check=True, stdin=subprocess.DEVNULL)
    return (time.monotonic() - began) * 1e3 / number
