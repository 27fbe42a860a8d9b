"""A real keeper for each test, on a root filesystem made of this machine's own files.

Whatever a test did, nothing of it may be left when its node is shut down.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.home import ClusterPaths, NodePaths
from engine.images.elf import Linker
from engine.images.host import Host
from engine.linux.process import pid_alive, start_time
from engine.runtime.cgroup.api import Resources, detect
from engine.runtime.plan import Target, compile
from engine.runtime.runtime import (
    ContainerConfig,
    ContainerState,
    Runtime,
    SandboxConfig,
)
from engine.runtime.spec import Mount, Spec, default_spec

TOOLS = ("sh", "cat", "sleep", "ls", "id", "head", "mkdir", "touch", "readlink", "kill", "stty")
PYTHON = os.path.realpath(sys.executable)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() != 0:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="containers need root"))


def copy(source: str, root: Path, as_name: str | None = None) -> None:
    target = root / (as_name or source).lstrip("/")
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


@pytest.fixture(scope="session")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A read-only layer: a shell, a few tools, and what Python's binary is linked with."""
    root = tmp_path_factory.mktemp("layer")
    tools = {tool: os.path.realpath(found) for tool in TOOLS if (found := shutil.which(tool))}
    extensions = Path(sysconfig.get_config_var("DESTSHARED")).glob("*.so")
    programs = {*tools.values(), PYTHON, *map(str, extensions)}
    for tool, program in tools.items():
        copy(program, root, f"/bin/{tool}")
    for library in Linker(Host()).closure(programs).files - programs:
        copy(library, root)
    for folder in ("etc", "tmp", "proc", "dev", "sys"):
        (root / folder).mkdir(exist_ok=True)
    return root


def python_mounts() -> tuple[Mount, ...]:
    """This machine's Python, seen inside at the same place."""
    prefix = sys.base_prefix
    places = [prefix] if prefix != "/usr" else ["/usr/lib", os.path.dirname(PYTHON)]
    return tuple(
        Mount(destination=place, source=place, options=("rbind", "ro")) for place in places
    )


@dataclass
class Node:
    """A keeper, one sandbox "pod", and containers in it."""

    home: Path
    paths: NodePaths
    layer: Path
    runtime: Runtime
    ended: dict[str, asyncio.Future[ContainerState]]

    def future(self, id: str) -> asyncio.Future[ContainerState]:
        return self.ended.setdefault(id, asyncio.get_running_loop().create_future())

    async def follow(self) -> None:
        """Note every exit; the event's absence, not a sleep, is what a test waits on."""
        async for state in self.runtime.exits():
            future = self.future(state.id)
            assert not future.done(), f"{state.id} ended twice"
            future.set_result(state)

    def cgroup(self, id: str) -> bytes:
        return self.paths.cgroup + b"/pod/" + id.encode()

    def log(self, id: str) -> Path:
        return self.home / "log" / f"{id}.log"

    def config(
        self, id: str, spec: Spec, resources: Resources | None = None, **target: Any
    ) -> ContainerConfig:
        folders = {name: self.home / "c" / id / name for name in ("upper", "work")}
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        fields: dict[str, Any] = {
            "lowerdirs": (self.layer,),
            "sandbox": "pod",
            **folders,
            **target,
        }
        made = compile(
            spec,
            Target(
                container_id=id,
                cgroup=self.cgroup(id),
                hierarchy=detect(),
                resources=resources or Resources(pids_limit=100),
                **fields,
            ),
        )
        return ContainerConfig(
            id=id,
            sandbox=fields["sandbox"],
            plan=made,
            log_path=self.log(id),
            labels={"name": id},
        )

    async def start(
        self, id: str, *args: str, spec: Spec | None = None, **more: Any
    ) -> ContainerState:
        return await self.runtime.start(self.config(id, spec or default_spec(args), **more))

    async def run(self, id: str, *args: str, spec: Spec | None = None, **more: Any) -> str:
        """Start, wait for the end, and give what it said."""
        await self.start(id, *args, spec=spec, **more)
        await self.future(id)
        return said(self.log(id))


def said(log: Path) -> str:
    """The text of a CRI log; a piece of a line is joined to the next."""
    text = ""
    for line in log.read_text().splitlines():
        _, _, tag, words = line.split(" ", 3)
        text += words + ("\n" if tag == "F" else "")
    return text


def python_spec(code: str, **process: Any) -> Spec:
    """A container that runs `code`."""
    env = ("PATH=/bin", f"LD_LIBRARY_PATH={sys.base_prefix}/lib", "PYTHONDONTWRITEBYTECODE=1")
    spec = default_spec((PYTHON, "-I", "-S", "-c", code), env=env)
    return msgspec.structs.replace(
        spec,
        mounts=spec.mounts + python_mounts(),
        process=msgspec.structs.replace(spec.process, **process),
    )


@pytest.fixture
def home() -> Iterator[Path]:
    """Short, for unix sockets' paths."""
    folder = Path(tempfile.mkdtemp(prefix="pdm", dir="/tmp"))
    yield folder
    # A cluster's cgroup outlives its nodes: whoever takes a cluster down removes it.
    detect().remove(ClusterPaths.of(folder, "t").cgroup)
    shutil.rmtree(folder)


@pytest.fixture
async def node(home: Path, layer: Path) -> AsyncIterator[Node]:
    paths = ClusterPaths.of(home, "t").node("n")
    runtime = await Runtime.launch(paths, node="n")
    keeper, started = runtime.keeper_pid, start_time(runtime.keeper_pid)
    node = Node(home, paths, layer, runtime, {})
    follower = asyncio.create_task(node.follow())
    try:
        await runtime.create_sandbox(
            SandboxConfig(id="pod", hostname="web-1", cgroup=paths.cgroup + b"/pod")
        )
        yield node
    finally:
        last = await Runtime.attach(paths)
        if last is not None:
            await last.shutdown()
        runtime.close()
        await follower
    assert left_of(paths) == []
    assert not pid_alive(keeper, started)
    assert "Traceback" not in paths.keeper_log.read_text()


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that the kernel tells nobody about."""
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


def left_of(paths: NodePaths) -> list[str]:
    """What is still there of a node."""
    home = str(paths.cluster.home)
    found = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if home in line]
    found += [os.fsdecode(d) for d in detect().directories(paths.cgroup) if os.path.exists(d)]
    found += [str(f) for f in (paths.keeper_socket, paths.keeper_pid) if f.exists()]
    return found
