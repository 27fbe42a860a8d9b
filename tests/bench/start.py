"""How soon a container's program runs, beside a C program that does the same, crun and runc.

All take turns in one run, so that whatever else the machine does meets each of them. Clocks begin
when a start is asked for, and are read by the container's own first instruction, and when its end
is known. An OCI runtime joins no layers, so its start is less work than ours.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engine.home import ClusterPaths
from engine.runtime.cgroup import tree
from engine.runtime.cgroup.api import detect
from engine.runtime.runtime import ContainerConfig, ContainerState, Runtime, SandboxConfig
from tests.bench import podstart
from tests.bench.container import HOSTNAME, Container, build, facts
from tests.bench.table import Row

STARTS = 10
ROUNDS_PER_RUN = 4
_SHOWN = ("/proc/self/status", "/proc/self/mountinfo")
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Start:
    """Milliseconds: to the first instruction, to its end being known; CPU that it all took."""

    first: float
    reaped: float
    cpu: float


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


# crun refuses a hybrid machine whose v2 tree has any controller; so it is shown v1 alone.
_V1_ALONE = (
    *("unshare", "--mount", "sh", "-c"),
    'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"',
    "sh",
)


class Floor:
    """The C program, and through it any other runtime's command."""

    def __init__(self, program: Path, container: Container, *within: str) -> None:
        self._process = subprocess.Popen(
            [*within, program, *container.floor()], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def _ask(self, *words: object) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\t".join(map(str, words)).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline().decode()
        if not line:
            raise RuntimeError(f"the floor could not do: {words}")
        return line

    async def time(self, *words: object) -> Start:
        first, reaped, cpu_us = map(int, self._ask(*words).split())
        return Start(first / 1e6, reaped / 1e6, cpu_us / 1e3)

    def show(self) -> str:
        """What a container of it sees."""
        assert self._process.stdout is not None
        line, text = self._ask("show", *_SHOWN), ""
        while line != ".\n":
            text += line
            line = self._process.stdout.readline().decode()
        return text

    def close(self) -> None:
        self._process.communicate()


class Ours:
    """A node's keeper, asked as the kubelet asks it."""

    def __init__(self, runtime: Runtime, container: Container) -> None:
        self._runtime = runtime
        self._container = container
        self._log = container.folder / "log"
        self._ended: asyncio.Future[tuple[ContainerState, int]]

    async def follow(self) -> None:
        """Note each exit, and when it was heard of."""
        async for state in self._runtime.exits():
            self._ended.set_result((state, time.monotonic_ns()))

    async def run(
        self, sandbox: str, *shown: str, cold: bool = False, ahead: str = ""
    ) -> tuple[str, Start]:
        """One container from start to removal: what it wrote, and its times. `cold`: in a sandbox
        made for it; `ahead`: "announced" before its image is known, or "created", all but the exec;
        the CPU time of that counts too."""
        self._container.fresh()
        self._log.unlink(missing_ok=True)
        plan = self._container.plan("main", sandbox, *shown)
        config = ContainerConfig(id="main", sandbox=sandbox, plan=plan, log_path=self._log)
        self._ended = asyncio.get_running_loop().create_future()
        cpu = self._cpu()
        if ahead == "announced":
            assert await self._runtime.prepare(self._container.preparation("main", sandbox))
        elif ahead:
            assert await self._runtime.create(config)
        began = time.monotonic_ns()
        if cold:
            await self._runtime.create_sandbox(SandboxConfig(id=sandbox, hostname=HOSTNAME))
        await self._runtime.start(config)
        state, reaped = await self._ended
        await self._runtime.remove("main")
        if cold:
            await self._runtime.remove_sandbox(sandbox)
        cpu = self._cpu() - cpu
        assert state.exit_code == 0, state
        text = "".join(line.split(" ", 3)[3] for line in self._log.open())
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

    def _cpu(self) -> float:
        """Seconds: the keeper's with its children, and ours, the engine's."""
        stat = Path(f"/proc/{self._runtime.keeper_pid}/stat").read_text().rpartition(")")[2].split()
        own = resource.getrusage(resource.RUSAGE_SELF)
        return sum(map(int, stat[11:15])) / _TICK + own.ru_utime + own.ru_stime


@dataclass(frozen=True)
class Lab:
    """All that start containers, each its own of one kind."""

    floor: Floor
    ours: Ours
    others: list[Variant]


def measure(runs: int) -> list[Row]:
    """First instruction and end, for each runtime; the bars are DESIGN's."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    try:
        with tempfile.TemporaryDirectory(prefix="pdb") as folder:
            variants = asyncio.run(_measure(Path(folder), runs * ROUNDS_PER_RUN))
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, usual)
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
            *made.others,
        ]
        for _ in range(rounds):
            for variant in variants:
                turn = [await variant.start() for _ in range(variant.each)]
                variant.rounds.append(turn)
    return variants


@asynccontextmanager
async def lab(folder: Path) -> AsyncIterator[Lab]:
    """Below `folder`, whose path is short, and in cgroups of its own."""
    hierarchy = detect()
    paths = ClusterPaths.of(folder, "bench")
    for name in (b"pod", b"floor", b"oci"):
        hierarchy.create(paths.cgroup + b"/" + name)
    with ExitStack() as closing:
        closing.callback(_remove_everywhere, os.fsdecode(paths.cgroup))
        container = Container.make(folder / "ours", hierarchy, paths.cgroup + b"/pod/main")
        beside = Container.make(folder / "floor", hierarchy, paths.cgroup + b"/floor/main")
        program = build("start", folder)
        floors = [Floor(program, beside), Floor(program, beside, *_V1_ALONE)]
        for floor in floors:
            closing.callback(floor.close)
        async with _keeper(paths, container) as ours:
            yield Lab(floors[0], ours, _others(beside, floors[1], paths.cgroup + b"/oci/main"))


def _remove_everywhere(cgroup: str) -> None:
    """Also from the trees that we do not use: other runtimes join all there are."""
    root = Path("/sys/fs/cgroup")
    for directory in (root / cgroup, *root.glob(f"*/{cgroup}")):
        tree.remove(os.fsencode(directory), time.monotonic() + 2)


async def both(made: Lab) -> tuple[dict[str, object], dict[str, object]]:
    """What a container of the floor sees of its isolation, and what one of ours sees."""
    seen, _ = await made.ours.run("prepared", *_SHOWN, ahead="created")
    return facts(made.floor.show()), facts(seen)


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


def _others(container: Container, floor: Floor, cgroup: bytes) -> list[Variant]:
    bundle = container.bundle(cgroup)

    def starter(path: str, name: str) -> Starter:
        root = container.folder / name
        return lambda: floor.time("run", bundle, path, "--root", root, "run", "main")

    return [
        Variant(f"{name} run, no layers", starter(path, name), each=3)
        for name in ("crun", "runc")
        if (path := shutil.which(name))
    ]


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
    floor, _, ours_cold, _, ours_announced, ours_prepared, *others = variants
    return [
        Row("start, announced / C floor", "x", _ratios(ours_announced, floor), 1.0),
        Row("start, created / C floor", "x", _ratios(ours_prepared, floor), 1.0),
        Row("start, nothing prepared / C floor", "x", _ratios(ours_cold, floor), 2.0),
        *(
            Row(f"start, prepared / {other.name}", "x", _ratios(ours_prepared, other), 0.2)
            for other in others
        ),
    ]
