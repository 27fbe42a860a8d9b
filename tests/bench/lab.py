"""Where containers are started, held, entered and stopped: by the engine's runtime, by the floor,
and by the commands that people use, each with its own folder and cgroups, all the same container.

Clocks begin when something is asked for; the container's own first instruction reads them, or
whoever asked does when its end is known.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.home import ClusterPaths
from engine.runtime.cgroup import tree
from engine.runtime.cgroup.api import detect
from engine.runtime.runtime import ContainerConfig, ContainerState, Runtime, SandboxConfig
from tests.bench.container import HOSTNAME, STAY, Container, build, facts
from tests.bench.native import V1_ALONE, Floor, Start
from tests.bench.peers import Peer, peers

SHOWN = ("/proc/self/status", "/proc/self/mountinfo")
_TICK = os.sysconf("SC_CLK_TCK")


class Ours:
    """A node's keeper, asked as the kubelet asks it."""

    def __init__(self, runtime: Runtime, container: Container) -> None:
        self.runtime = runtime
        self.container = container
        self._ended: dict[str, asyncio.Future[tuple[ContainerState, int]]] = {}

    async def follow(self) -> None:
        """Note each exit, and when it was heard of."""
        async for state in self.runtime.exits():
            self.end_of(state.id).set_result((state, time.monotonic_ns()))

    def end_of(self, id: str) -> asyncio.Future[tuple[ContainerState, int]]:
        """How it ended, and when that was heard of; to be asked for once before each start."""
        return self._ended.setdefault(id, asyncio.get_running_loop().create_future())

    def config(self, container: Container, id: str, sandbox: str, *args: str) -> ContainerConfig:
        """Of one that is about to start."""
        container.fresh()
        log = container.folder / "log"
        log.unlink(missing_ok=True)
        self._ended.pop(id, None)
        plan = container.plan(id, sandbox, *args)
        return ContainerConfig(id=id, sandbox=sandbox, plan=plan, log_path=log)

    async def run(
        self, sandbox: str, *shown: str, cold: bool = False, ahead: str = ""
    ) -> tuple[str, Start]:
        """One container from start to removal: what it wrote, and its times. `cold`: in a sandbox
        made for it; `ahead`: "announced" before its image is known, or "created", all but the exec;
        the CPU time of that counts too."""
        config = self.config(self.container, "main", sandbox, *shown)
        cpu = self.cpu()
        if ahead == "announced":
            assert await self.runtime.prepare(self.container.preparation("main", sandbox))
        elif ahead:
            assert await self.runtime.create(config)
        began = time.monotonic_ns()
        if cold:
            await self.runtime.create_sandbox(SandboxConfig(id=sandbox, hostname=HOSTNAME))
        await self.runtime.start(config)
        state, reaped = await self.end_of("main")
        await self.runtime.remove("main")
        if cold:
            await self.runtime.remove_sandbox(sandbox)
        cpu = self.cpu() - cpu
        assert state.exit_code == 0, state
        text = "".join(line.split(" ", 3)[3] for line in config.log_path.open())
        first = int(text) if not shown else began
        return text, Start((first - began) / 1e6, (reaped - began) / 1e6, cpu * 1e3)

    async def created(self) -> Start:
        return (await self.run("prepared", ahead="created"))[1]

    async def announced(self) -> Start:
        return (await self.run("prepared", ahead="announced"))[1]

    async def in_sandbox(self) -> Start:
        return (await self.run("prepared"))[1]

    async def cold(self) -> Start:
        return (await self.run("cold", cold=True))[1]

    async def hold(self) -> None:
        """One that stays until stop()."""
        await self.runtime.start(self.config(self.container, "main", "prepared", STAY))

    async def exec(self) -> Start:
        """Another process in the one that is held."""
        cpu, began = self.cpu(), time.monotonic_ns()
        result = await self.runtime.exec("main", ["/bin/stamp"], timeout_s=60)
        ended = time.monotonic_ns()
        first = int(result.output)
        return Start((first - began) / 1e6, (ended - began) / 1e6, (self.cpu() - cpu) * 1e3)

    async def stop(self) -> Start:
        """SIGTERM to it."""
        cpu, began = self.cpu(), time.monotonic_ns()
        await self.runtime.signal("main", signal.SIGTERM)
        _, ended = await self.end_of("main")
        await self.runtime.remove("main")
        gone = time.monotonic_ns()
        return Start((ended - began) / 1e6, (gone - began) / 1e6, (self.cpu() - cpu) * 1e3)

    def cpu(self) -> float:
        """Seconds: the keeper's with its children, and ours, the engine's."""
        stat = Path(f"/proc/{self.runtime.keeper_pid}/stat").read_text().rpartition(")")[2].split()
        own = resource.getrusage(resource.RUSAGE_SELF)
        return sum(map(int, stat[11:15])) / _TICK + own.ru_utime + own.ru_stime


@dataclass(frozen=True)
class Lab:
    """All that start containers, each its own of one kind. `second`: a floor beside the floor."""

    floor: Floor
    second: Floor
    ours: Ours
    peers: list[Peer]


@asynccontextmanager
async def lab(folder: Path) -> AsyncIterator[Lab]:
    """Below `folder`, whose path is short, and in cgroups of its own."""
    hierarchy = detect()
    paths = ClusterPaths.of(folder, "bench")
    for name in (b"pod", b"floor", b"second", b"oci"):
        hierarchy.create(paths.cgroup + b"/" + name)
    with ExitStack() as closing:
        closing.callback(_remove_everywhere, os.fsdecode(paths.cgroup))
        container = Container.make(folder / "ours", hierarchy, paths.cgroup + b"/pod/main")
        program = build("start", folder)
        floors = []
        for name, within in (("floor", ()), ("second", ()), ("oci", V1_ALONE)):
            cgroup = paths.cgroup + f"/{name}/main".encode()
            beside = Container.make(folder / name, hierarchy, cgroup)
            floors.append(Floor(program, beside, *within))
            closing.callback(floors[-1].close)
        others = closing.enter_context(peers(floors[-1], beside))
        async with _keeper(paths, container) as ours:
            yield Lab(floors[0], floors[1], ours, others)


def _remove_everywhere(cgroup: str) -> None:
    """Also from the trees that we do not use: other runtimes join all there are."""
    root = Path("/sys/fs/cgroup")
    for directory in (root / cgroup, *root.glob(f"*/{cgroup}")):
        tree.remove(os.fsencode(directory), time.monotonic() + 2)


async def both(made: Lab) -> tuple[dict[str, object], dict[str, object]]:
    """What a container of the floor sees of its isolation, and what one of ours sees."""
    seen, _ = await made.ours.run("prepared", *SHOWN, ahead="created")
    return facts(made.floor.show(*SHOWN)), facts(seen)


@asynccontextmanager
async def _keeper(paths: ClusterPaths, container: Container) -> AsyncIterator[Ours]:
    runtime = await Runtime.launch(paths.node("bench"), node="bench")
    ours = Ours(runtime, container)
    following = asyncio.create_task(ours.follow())
    try:
        await runtime.create_sandbox(SandboxConfig(id="prepared", hostname=HOSTNAME))
        yield ours
    finally:
        await runtime.shutdown()
        runtime.close()
        await following
