"""`python -m engine serve`: the engine's process."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
import time
from pathlib import Path

from engine.home import ClusterPaths

STARTED = time.monotonic()


def main() -> int:
    """Parse, take the cluster's lock, serve until told to end. Returns the exit code."""
    from engine.launch import AlreadyRunning, EngineLock, EngineOptions
    from engine.runtime.rootless.enter import NotEntered

    parser = argparse.ArgumentParser(prog="python -m engine")
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--nodes", type=int)
    parser.add_argument("--node-cpu")
    parser.add_argument("--node-memory")
    parser.add_argument("--apply", type=Path, action="append", default=[])
    words = parser.parse_args()
    paths = ClusterPaths.of(words.home, words.cluster)
    options = EngineOptions(words.nodes, words.node_cpu, words.node_memory, tuple(words.apply))
    for folder in (paths.run, paths.state):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(paths.home.glob("builds/*/*")):
        from engine.builder.workshop import sweep

        try:
            sweep(paths.home)
        except OSError as error:
            print(f"what a dead build left stays: {error}", file=sys.stderr)
    try:
        with EngineLock(paths):
            listener = _enter(paths) if os.geteuid() else None
            from engine.cluster import serve
            from engine.linux.mountns import own_mount_namespace

            # What is mounted for containers is gone when the engine and its keepers are.
            own_mount_namespace()

            asyncio.run(serve(paths, options, STARTED, listener))
    except (AlreadyRunning, NotEntered) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _enter(paths: ClusterPaths) -> socket.socket:
    """An ordinary user's engine goes into its namespaces, before it has any thread.

    Returns kubectl's door, which must be on the machine's loopback: inside there is another.
    """
    from engine.boot import BootLog
    from engine.config import tls_port
    from engine.runtime.rootless.enter import enter

    listener = _listen(tls_port(paths))
    boot = BootLog(paths.boot_log, STARTED)
    with boot.step("user namespace") as note:
        note.detail = enter(paths).described()
    boot.close()
    return listener


def _listen(port: int) -> socket.socket:
    """On the machine's loopback, at `port` when that is free."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return socket.create_server(("127.0.0.1", 0))


if __name__ == "__main__":
    sys.exit(main())
