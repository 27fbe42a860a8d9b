"""Where a build's RUN instructions run: a keeper of the build's own, unmade with it.

    HOME/builds/clusters/<id>/   what a cluster of this name has: here a node without an API
    HOME/builds/run/<id>/        its keeper's socket; locked (flock(2)) by the build while it lives

No running cluster is needed, and none is touched. What a build that was killed left behind is not
locked any more, and taken down by the next build, or the next cluster's start.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.home import ClusterPaths
from engine.images.containerfile.stages import BuildError
from engine.runtime.cgroup import delegation
from engine.runtime.cgroup.api import Hierarchy
from engine.runtime.runtime import (
    ContainerConfig,
    ContainerState,
    Runtime,
    RuntimeFailure,
    SandboxConfig,
)
from engine.teardown import teardown

_NODE = "build"
SANDBOX = "run"
OUTSIDE = "outside"
"""The sandbox with a way to the outside."""


class Workshop:
    """Its keeper starts with the first container."""

    def __init__(self, paths: ClusterPaths, lock: int | None) -> None:
        """`lock` is the place's; None when somebody else has it, and takes the place down."""
        self._paths = paths
        self._lock = lock
        self._runtime: Runtime | None = None
        self._starting = asyncio.Lock()
        self._sandboxes: set[str] = set()
        self._ends: dict[str, asyncio.Future[ContainerState]] = {}
        self._following: asyncio.Task[None] | None = None
        self.node = paths.node(_NODE)
        self.node.pods.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.hierarchy: Hierarchy = delegation.hierarchy(paths.cgroup)
        delegation.settle(self.hierarchy)
        self.hierarchy.create(paths.cgroup)  # by which the keeper will find it

    @classmethod
    def open(cls, home: Path) -> Workshop:
        """Have a place of one's own. Raise OSError."""
        return cls(*claim(home))

    async def close(self) -> None:
        """End what runs, and leave nothing. Raise BuildError naming what could not be removed."""
        if self._runtime is not None:
            with suppress(RuntimeFailure):
                await self._runtime.shutdown()
            self._runtime.close()
        if self._following is not None:
            await self._following
        if self._lock is None:
            return
        left = await asyncio.to_thread(teardown, self._paths, purge=True)
        os.close(self._lock)
        if left:
            raise BuildError(f"left behind by the build: {', '.join(left)}")

    @property
    def keeper_pid(self) -> int:
        """After sandbox(): where containers begin."""
        assert self._runtime is not None
        return self._runtime.keeper_pid

    def folder(self, id: str) -> Path:
        """A container's, in the shape that teardown() knows."""
        return self.node.pods / SANDBOX / "containers" / id / "0"

    def log(self, id: str) -> Path:
        return self.folder(id).with_suffix(".log")

    def cgroup(self, sandbox: str, id: str) -> bytes:
        return b"/".join((self.node.cgroup, sandbox.encode(), id.encode()))

    async def sandbox(self, *, outside: bool) -> str:
        """The sandbox to run in: with a loopback only, or with a way to the outside.

        Raise RuntimeFailure, OSError, or BuildError when there is no free network.
        """
        name = OUTSIDE if outside else SANDBOX
        async with self._starting:
            runtime = await self._started()
            if name not in self._sandboxes:
                network = await self._cable(runtime) if outside else {}
                cgroup = self.node.cgroup + b"/" + name.encode()
                config = SandboxConfig(id=name, hostname="build", cgroup=cgroup, **network)
                await runtime.create_sandbox(config)
                self._sandboxes.add(name)
        return name

    async def run(self, config: ContainerConfig) -> ContainerState:
        """Run a container to its end; cancelled, it is killed. Raise StartError, RuntimeFailure."""
        runtime = self._runtime
        assert runtime is not None, "sandbox() comes first"
        ended = self._ends[config.id] = asyncio.get_running_loop().create_future()
        try:
            await runtime.start(config)
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            await runtime.kill(config.id)
            await ended
            raise
        finally:
            self._ends.pop(config.id, None)
            with suppress(RuntimeFailure):
                await runtime.remove(config.id)

    async def _started(self) -> Runtime:
        if self._runtime is None:
            self._runtime = await Runtime.launch(self.node, node=_NODE)
            self._following = asyncio.create_task(self._follow(self._runtime))
        return self._runtime

    async def _follow(self, runtime: Runtime) -> None:
        async for state in runtime.exits():
            ended = self._ends.get(state.id)
            if ended is not None and not ended.done():
                ended.set_result(state)
        for ended in self._ends.values():
            if not ended.done():
                ended.set_exception(RuntimeFailure("the build's keeper has died"))

    async def _cable(self, runtime: Runtime) -> dict[str, Any]:
        """A network as a pod has it, with NAT to the outside."""
        from engine.network import ipam
        from engine.network.fabric import Fabric, one_at_a_time

        def lay() -> dict[str, Any]:
            with one_at_a_time():
                network = ipam.choose_cluster_cidr(ipam.taken_networks())
                fabric = Fabric(self._paths, network)
                fabric.ensure_host()
            fabric.ensure_node(1, runtime.netns_fd())
            pods = ipam.node_cidr(fabric.cidr, 1)
            way = ipam.gateway(pods)
            return {"ip": str(way + 1), "prefix": pods.prefixlen, "gateway": str(way)}

        return await asyncio.to_thread(lay)


def claim(home: Path) -> tuple[ClusterPaths, int]:
    """Take down what dead builds left; a new place, and its lock, which goes with this process."""
    sweep(home)
    while True:
        paths = ClusterPaths.of(_builds(home), secrets.token_hex(4))
        lock = _lock(paths)
        if lock >= 0:
            return paths, lock


def sweep(home: Path) -> None:
    """Take down the builds whose process is gone."""
    for name in {path.name for path in _builds(home).glob("*/*")}:
        paths = ClusterPaths.of(_builds(home), name)
        lock = _lock(paths)
        if lock >= 0:
            teardown(paths, purge=True)
            os.close(lock)


def _lock(paths: ClusterPaths) -> int:
    """The lock of a build, -1 when somebody has it."""
    paths.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        lock = os.open(paths.run, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1  # swept between making and opening it
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if paths.run.exists():  # else swept before it was locked
            return lock
    except BlockingIOError:
        pass
    os.close(lock)
    return -1


def _builds(home: Path) -> Path:
    return home / "builds"
