"""Starting a node's keeper, and cleaning up after one that died."""

from __future__ import annotations

import asyncio
import os
import select

from engine.home import NodePaths
from engine.linux.pidfd import pidfd_open, pidfd_send_signal
from engine.linux.process import start_time
from engine.runtime import program
from engine.runtime.cgroup import delegation
from engine.runtime.errors import KeeperNotStarted

_END_MS = 10_000


async def start(paths: NodePaths, node: str, *, namespaces: tuple[int, ...] = ()) -> None:
    """Start a keeper and wait until it listens. Raise KeeperNotStarted with its last words.

    `namespaces`: descriptors of the network and the mount namespace that an earlier one was in.
    """
    for folder in (paths.keeper_socket.parent, paths.keeper_pid.parent, paths.keeper_log.parent):
        folder.mkdir(parents=True, exist_ok=True)
    ready, told = os.pipe()
    try:
        with open(paths.keeper_log, "ab") as log:
            process = await asyncio.create_subprocess_exec(
                *program.sealing(paths, node, told, namespaces),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(told, *namespaces),
                start_new_session=True,
                # Bound on first use, each library function would be looked up in every child anew.
                env={**os.environ, "LD_BIND_NOW": "1"},
            )
        os.close(told)
        told = -1
        await process.wait()
        word = await asyncio.to_thread(os.read, ready, 16)
    finally:
        os.close(ready)
        if told >= 0:
            os.close(told)
    if word != b"ready\n":
        raise KeeperNotStarted(f"node {node}: its keeper did not start: {_last_words(paths)}")


def _last_words(paths: NodePaths) -> str:
    lines = paths.keeper_log.read_text(errors="replace").strip().splitlines()
    return f"{lines[-1] if lines else 'it said nothing'} (see {paths.keeper_log})"


def clean_dead_keeper(paths: NodePaths) -> int:
    """Remove what a keeper that died, or hangs, left: its containers, cgroups, socket and pid file.
    Gives how many processes of containers there were.

    Idempotent. For a node that is not meant to go on: a keeper that lives is killed. Raise OSError
    for a cgroup that cannot be removed.
    """
    end_keeper(paths)
    hierarchy, left = delegation.hierarchy(paths.cluster.cgroup), 0
    if hierarchy.exists(paths.cgroup):
        left = len(hierarchy.procs(paths.cgroup))
        hierarchy.kill(paths.cgroup)
        hierarchy.remove(paths.cgroup)
    return left


def end_keeper(paths: NodePaths) -> None:
    """The keeper alone, if one lives, with its socket and pid file; its containers go on."""
    _kill(paths)
    for file in (paths.keeper_socket, paths.keeper_pid):
        file.unlink(missing_ok=True)


def _kill(paths: NodePaths) -> None:
    """End the process that the pid file names, when it is still that one, and wait for its end."""
    try:
        pid, started = map(int, paths.keeper_pid.read_text().split())
    except (FileNotFoundError, ValueError):
        return
    try:
        held = pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if start_time(pid) == started:
            pidfd_send_signal(held, 9)
            # Readable when it has ended (pidfd_open(2)); its namespaces are gone by then.
            gone = select.poll()
            gone.register(held, select.POLLIN)
            gone.poll(_END_MS)
    except (FileNotFoundError, ProcessLookupError):
        return
    finally:
        os.close(held)
