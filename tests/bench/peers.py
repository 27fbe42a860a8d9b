"""What people start containers with otherwise: crun, runc, and podman, driven by their commands."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.container import STAY, Container
from tests.bench.native import Floor, Start

Do = Callable[[], Awaitable[Start]]


def _into(file: Path | str) -> tuple[str, ...]:
    """Before a command whose output is not waited for: what it leaves running holds it open."""
    return "/bin/sh", "-c", f'exec "$@" >{file} </dev/null', "sh"


def _said(file: Path) -> int:
    """What the container's program writes there, awaited."""
    while not (text := file.read_text()).endswith("\n"):
        continue
    return int(text)


class Peer:
    """One other runtime. `each`: how many starts a turn; `created`: start of a container that waits
    for it, where there is such a thing."""

    def __init__(self, name: str, floor: Floor, folder: Path, each: int) -> None:
        self.name = name
        self.each = each
        self.created: Do | None = None
        self._floor = floor
        self._folder = folder

    async def run(self) -> Start:
        """A container from start to removal."""
        raise NotImplementedError

    async def hold(self) -> None:
        """One that stays until stop()."""
        raise NotImplementedError

    async def exec(self) -> Start:
        """Another process in the one that is held."""
        raise NotImplementedError

    async def stop(self) -> Start:
        """SIGTERM to it."""
        raise NotImplementedError

    def burst(self, number: int) -> list[list[str]]:
        """The commands that run so many containers, each from start to removal."""
        raise NotImplementedError


class OCIRuntime(Peer):
    """crun or runc, on bundles."""

    def __init__(self, name: str, path: str, floor: Floor, container: Container) -> None:
        super().__init__(name, floor, container.bundle("main"), each=3)
        self.created = self._created
        self._container = container
        self._stay = container.bundle("stay", STAY)
        self._command = (path, "--root", str(container.folder / name))
        self._ids = map(str, itertools.count())

    async def run(self) -> Start:
        return await self._floor.time("run", self._folder, *self._command, "run", "main")

    async def _created(self) -> Start:
        # Its output stays the command's that created it: so the program writes to a file.
        said = self._folder / "said"
        words = (*_into(said), *self._command, "create", "main")
        await self._floor.time("run", self._folder, *words)
        start = await self._floor.time("run", self._folder, *self._command, "start", "main")
        first = _said(said) / 1e6 - start.began
        await self._floor.time("run", self._folder, *self._command, "delete", "-f", "main")
        return Start(first, start.reaped, start.cpu)

    async def hold(self) -> None:
        said = self._stay / "said"
        words = (*_into(said), *self._command, "run", "--detach", "main")
        await self._floor.time("run", self._stay, *words)
        # Only now does it heed SIGTERM.
        _said(said)

    async def exec(self) -> Start:
        words = (*self._command, "exec", "main", "/bin/stamp")
        return await self._floor.time("run", self._stay, *words)

    async def stop(self) -> Start:
        # As a person would: until it can be deleted, which is when it has ended.
        shell = '"$@" kill main TERM; until "$@" delete main 2>/dev/null; do :; done'
        words = ("/bin/sh", "-c", shell, "sh", *self._command)
        return await self._floor.time("run", self._stay, *words)

    def burst(self, number: int) -> list[list[str]]:
        names = [f"b{index}" for index in range(number)]
        bundles = {name: self._container.bundle(name) for name in names}
        return [
            [*self._command, "run", "--bundle", str(bundle), name]
            for name, bundle in bundles.items()
        ]


class Podman(Peer):
    """On an image of one layer, without a network."""

    def __init__(self, path: str, floor: Floor, container: Container) -> None:
        super().__init__("podman", floor, container.folder, each=1)
        home = container.folder / "podman"
        home.mkdir()
        parent = container.cgroup.rpartition(b"/")[0].decode()
        self._command = [path, *("--root", f"{home}/r"), *("--runroot", f"{home}/x")]
        self._command += ["--tmpdir", f"{home}/t", "--cgroup-manager", "cgroupfs"]
        self._command += ["--events-backend", "file", "--runtime", "runc"]
        self._limits = ["--network", "none", "--cgroup-parent", f"/{parent}", "--memory", "64m"]
        self._limits += ["--ulimit", "nofile=1024:2048", "--ulimit", "nproc=1000:1000"]
        archive = home / "image.tar"
        subprocess.run(["tar", "-C", container.rootfs(), "-cf", archive, "."], check=True)
        self.call("import", str(archive), "bench")

    def call(self, *words: str) -> None:
        """One that is not timed."""
        subprocess.run([*self._command, *words], check=True, capture_output=True)

    async def run(self) -> Start:
        words = ("run", "--rm", *self._limits, "bench", "/bin/stamp")
        return await self._floor.time("run", self._folder, *self._command, *words)

    async def hold(self) -> None:
        file = f"{self._folder}/podman/conmon.pid"
        words = ("run", "-d", "--name", "main", "--conmon-pidfile", file, *self._limits)
        words += ("bench", "/bin/stamp", STAY)
        await self._floor.time("run", self._folder, *_into("/dev/null"), *self._command, *words)

    async def exec(self) -> Start:
        words = ("exec", "main", "/bin/stamp")
        return await self._floor.time("run", self._folder, *self._command, *words)

    async def stop(self) -> Start:
        words = ("rm", "--force", "--time", "10", "main")
        return await self._floor.time("run", self._folder, *self._command, *words)

    def burst(self, number: int) -> list[list[str]]:
        words = ["run", "--rm", *self._limits, "bench", "/bin/stamp"]
        return [[*self._command, *words] for _ in range(number)]

    def conmon(self) -> int:
        """The process that holds the one that is held."""
        file = self._folder / "podman" / "conmon.pid"
        return int(file.read_text())


@contextmanager
def peers(floor: Floor, container: Container) -> Iterator[list[Peer]]:
    """Those that are installed; what they left is removed afterwards."""
    found: list[Peer] = [
        OCIRuntime(name, path, floor, container)
        for name in ("crun", "runc")
        if (path := shutil.which(name))
    ]
    path = shutil.which("podman")
    podman = Podman(path, floor, container) if path and shutil.which("runc") else None
    try:
        yield [*found, *([podman] if podman else [])]
    finally:
        if podman is not None:
            podman.call("rm", "--all", "--force", "--time", "0")
            podman.call("system", "reset", "--force")
