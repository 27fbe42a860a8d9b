"""Take a cluster down: with its engine or without, after any crash, from its names alone.

Everything that a cluster adds to the machine carries its id or lives in its folders, so what is to
be removed is found by looking, not by remembering.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

from engine.home import ClusterPaths, NodePaths
from engine.images.erase import erase_path
from engine.images.rootfs import remove_rootfs
from engine.launch import stop
from engine.network import fabric
from engine.runtime.cgroup import delegation
from engine.runtime.errors import RuntimeFailure
from engine.runtime.keepers import clean_dead_keeper
from engine.runtime.rootless.enter import end, enter, ordinary
from engine.runtime.runtime import Runtime

KEEPER_TIMEOUT_S = 10.0


def teardown(paths: ClusterPaths, *, purge: bool = False) -> list[str]:
    """Stop the engine, end every container, remove what was made; idempotent.

    Objects, certificates and the shared image store stay unless `purge`; the image store always.
    An ordinary user's cluster is taken apart from inside its namespaces, which end with it. Returns
    the names of what could not be removed.
    """
    stop(paths)
    left = _inside(paths, purge) if ordinary() else take_apart(paths, purge=purge)
    if not left:
        if ordinary():
            end(paths)
        erase_path(os.fsencode(paths.run))
    return left


def _inside(paths: ClusterPaths, purge: bool) -> list[str]:
    """take_apart() by a process in the cluster's namespaces. Raise OSError with its words."""
    command = [sys.executable, "-P", "-m", "engine.teardown", str(paths.home), paths.name]
    ran = subprocess.run([*command, *(["purge"] if purge else [])], capture_output=True, text=True)
    if ran.returncode:
        words = ran.stderr.strip().splitlines() or ["it ended without a word"]
        raise OSError(errno.EIO, words[-1], paths.name)
    left: list[str] = json.loads(ran.stdout)
    return left


def take_apart(paths: ClusterPaths, *, purge: bool) -> list[str]:
    """All of teardown() but the engine and the folder of sockets."""
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
        for folder in (paths.state / "nodes", *([paths.state] if purge else [])):
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


def main() -> None:
    """python -m engine.teardown HOME CLUSTER [purge]: see _inside()."""
    home, name, *purge = sys.argv[1:]
    paths = ClusterPaths.of(Path(home), name)
    enter(paths, outside=False)
    print(json.dumps(take_apart(paths, purge=bool(purge))))


def mounts_below(folder: Path) -> list[str]:
    """Mount points at or below a folder (proc_pid_mountinfo(5), field 5)."""
    prefix = str(folder)
    with open("/proc/self/mountinfo") as lines:
        points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return [point for point in points if point == prefix or point.startswith(prefix + "/")]


if __name__ == "__main__":
    main()
