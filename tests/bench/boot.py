"""`podarium demo` from the command to what a person sees, on a terminal of 120x36.

Cold: an empty home, so that the host image is built too. Warm: the image store is there.
Clocks start just before the process does; the bars are the README's promises.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from engine.client.client import Client
from engine.client.errors import Unreachable
from engine.client.http import HttpTransport
from engine.home import ClusterPaths
from engine.types.core import Node, Pod
from engine.types.nodestatus import node_ready
from tests.bench.table import Row

NODES = 3
RUNNING_PODS = 7
"""web 3, wave 2, breathe 1, leak 1: what the demo keeps running (its Job comes and goes)."""
SERVICES = {"web", "wave", "breathe", "leak"}
GIVE_UP_S = 60.0


class Screen:
    """The dashboard's process on a pseudo-terminal, read for as long as it lives."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self.first_byte: float | None = None
        self.started = time.monotonic()
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.execve(command[0], command, env)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
        self._reader = threading.Thread(target=self._drain, daemon=True)
        self._reader.start()

    def _drain(self) -> None:
        with contextlib.suppress(OSError):
            while os.read(self._master, 65536):
                if self.first_byte is None:
                    self.first_byte = time.monotonic()

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._master)


async def _moments(paths: ClusterPaths, started: float) -> tuple[float, float]:
    """Seconds until every node is Ready, and until every service's pods are Ready."""
    ready = running = 0.0
    while time.monotonic() - started < GIVE_UP_S:
        with contextlib.suppress(Unreachable):
            async with HttpTransport(unix=paths.api_socket) as transport:
                client = Client(transport)
                while time.monotonic() - started < GIVE_UP_S:
                    nodes = (await client.list(Node)).items
                    if not ready and sum(map(node_ready, nodes)) == NODES:
                        ready = time.monotonic() - started
                    pods = (await client.list(Pod, "default")).items
                    if ready and sum(map(_runs, pods)) >= RUNNING_PODS:
                        running = time.monotonic() - started
                        return ready, running
                    await asyncio.sleep(0.02)
        await asyncio.sleep(0.02)
    raise TimeoutError(f"the demo was not running after {GIVE_UP_S:.0f} s: {paths.engine_log}")


def _runs(pod: Pod) -> bool:
    return pod.metadata.labels.get("app") in SERVICES and pod.status.phase == "Running"


@contextlib.contextmanager
def _home() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="pdb"))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _once(home: Path) -> tuple[float, float, float]:
    paths = ClusterPaths.of(home, "bench")
    podarium = str(Path(sys.executable).with_name("podarium"))
    env = {**os.environ, "PODARIUM_HOME": str(home), "TERM": "xterm-256color"}
    screen = Screen([podarium, "demo", "--cluster", "bench"], env)
    try:
        ready, running = asyncio.run(_moments(paths, screen.started))
        assert screen.first_byte is not None
        return screen.first_byte - screen.started, ready, running
    finally:
        screen.end()
        down = [podarium, "down", "--purge", "--cluster", "bench"]
        subprocess.run(down, env=env, check=True, stdout=subprocess.DEVNULL)


def measure(runs: int) -> list[Row]:
    """Rows for cold and warm starts."""
    cold: list[tuple[float, float, float]] = []
    warm: list[tuple[float, float, float]] = []
    for _ in range(runs):
        with _home() as home:
            cold.append(_once(home))
            warm.append(_once(home))
    rows: list[Row] = []
    for kind, results in (("cold", cold), ("warm", warm)):
        paint, ready, running = (list(column) for column in zip(*results, strict=True))
        rows += [
            Row(f"podarium demo, {kind}: first paint", "s", paint, 0.5),
            Row(f"podarium demo, {kind}: three nodes Ready", "s", ready, 3.0),
            Row(f"podarium demo, {kind}: demo pods Running", "s", running, 8.0),
        ]
    return rows
