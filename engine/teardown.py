"""Take a cluster down: with its engine or without, after any crash, from its names alone.

Everything that a cluster adds to the machine carries its id or lives in its folders, so what is to
be removed is found by looking, not by remembering.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from engine.home import ClusterPaths, NodePaths
from engine.images.erase import erase_path
from engine.images.rootfs import remove_rootfs
from engine.launch import stop
from engine.network import fabric
from engine.runtime.cgroup import delegation
from engine.runtime.errors import RuntimeFailure
from engine.runtime.keepers import clean_dead_keeper
from engine.runtime.runtime import Runtime

KEEPER_TIMEOUT_S = 10.0


def teardown(paths: ClusterPaths, *, purge: bool = False) -> list[str]:
    """Stop the engine, end every container, remove what was made; idempotent.

    Objects, certificates and the shared image store stay unless `purge`; the image store always.
    Returns the names of what could not be removed.
    """
    stop(paths)
    for node in _nodes(paths):
        asyncio.run(_end_node(node))
    hierarchy = delegation.hierarchy(paths.cgroup)
    if hierarchy.exists(paths.cgroup):
        hierarchy.kill(paths.cgroup)
        hierarchy.remove(paths.cgroup)
    hierarchy.take_back()
    fabric.remove(paths)
    left = remains(paths)
    if not left:
        for container in paths.state.glob("nodes/*/pods/*/containers/*/[0-9]*/"):
            remove_rootfs(container)
        for folder in (paths.run, paths.state / "nodes", *([paths.state] if purge else [])):
            erase_path(os.fsencode(folder))
    return left


def _nodes(paths: ClusterPaths) -> list[NodePaths]:
    """Every node that has a trace: a socket, a pid file or a folder."""
    names = {file.stem for file in paths.run.glob("*.sock")} - {paths.api_socket.stem}
    names |= {file.stem for file in paths.run.glob("*.pid")} - {paths.engine_pid.stem}
    names |= {folder.name for folder in (paths.state / "nodes").glob("*")}
    return [paths.node(name) for name in sorted(names)]


async def _end_node(node: NodePaths) -> None:
    """By the keeper's own hand; one that hangs, dies on the way or is of another version is ended
    from outside, with all that is in the node's cgroup."""
    with contextlib.suppress(TimeoutError, RuntimeFailure):
        async with asyncio.timeout(KEEPER_TIMEOUT_S):
            runtime = await Runtime.attach(node)
            if runtime is not None:
                await runtime.shutdown()
    clean_dead_keeper(node)


def remains(paths: ClusterPaths) -> list[str]:
    """What the machine still has of this cluster, told for a person."""
    found = [f"mount {point}" for point in mounts_below(paths.state)]
    found += [f"mount {point}" for point in mounts_below(paths.run)]
    found += [
        f"cgroup {os.fsdecode(folder)}"
        for folder in delegation.hierarchy(paths.cgroup).directories(paths.cgroup)
        if os.path.isdir(folder)
    ]
    found += fabric.leftovers(paths)
    return found


def mounts_below(folder: Path) -> list[str]:
    """Mount points at or below a folder (proc_pid_mountinfo(5), field 5)."""
    prefix = str(folder)
    with open("/proc/self/mountinfo") as lines:
        points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return [point for point in points if point == prefix or point.startswith(prefix + "/")]
