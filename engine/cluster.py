"""The composition root: it wires the parts of one cluster, and nothing else does."""

from __future__ import annotations

import asyncio
import contextlib
import signal

from engine.boot import BootLog
from engine.home import ClusterPaths
from engine.launch import EngineOptions


class BootError(RuntimeError):
    """The cluster cannot start; the message says what is lacking and the cure."""


async def serve(paths: ClusterPaths, options: EngineOptions, started: float) -> None:
    """Run the cluster until SIGTERM or SIGINT; its containers go on without us."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    cluster = Cluster(paths, BootLog(paths.boot_log, started))
    try:
        await cluster.start(options)
        await stop.wait()
    finally:
        await cluster.stop()


class Cluster:
    """One cluster's parts, in the order in which they need each other."""

    def __init__(self, paths: ClusterPaths, boot: BootLog) -> None:
        self.paths = paths
        self._boot = boot
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = contextlib.AsyncExitStack()
