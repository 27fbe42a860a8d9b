"""`python -m engine serve`: the engine's process."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

STARTED = time.monotonic()


def main() -> int:
    """Parse, take the cluster's lock, serve until told to end. Returns the exit code."""
    from engine.home import ClusterPaths
    from engine.launch import AlreadyRunning, EngineLock, EngineOptions

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
    try:
        with EngineLock(paths):
            from engine.cluster import serve
            from engine.linux.mountns import own_mount_namespace

            # What is mounted for containers is gone when the engine and its keepers are.
            own_mount_namespace()

            asyncio.run(serve(paths, options, STARTED))
    except AlreadyRunning as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
