"""From a key to its paint: the cursor in a list of 10,000 pods while 1,000 of them change a second.

An API server of its own process serves the pods on a unix socket; the dashboard runs on a terminal
of 120x36. A key counts as painted with the first bytes that show the next pod's name on the
cursor's background: no change of a row can look like that.

    python -m tests.bench.keys serve|show SOCKET    what the two other processes run
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import random
import re
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tests.bench.table import Row

if TYPE_CHECKING:
    from aiohttp import web

PODS = 10_000
UPDATES = 1_000
"""Per second."""
KEYS = 400
PAUSE_S = (0.02, 0.06)
"""Between a paint and the next key: a held key repeats 30 times a second."""
BAR_MS = 16.0
GIVE_UP_S = 120.0
CROWDED = 10.0
"""Per cent of time that something waits for a core, above which the figures mean little."""


class Terminal:
    """The dashboard on a pseudo-terminal."""

    def __init__(self, socket: Path) -> None:
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
            command = [sys.executable, "-m", "tests.bench.keys", "show", str(socket)]
            os.execve(command[0], command, env)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))

    def press(self, keys: bytes, shown: re.Pattern[bytes]) -> float:
        """Type, and read until the pattern is there; seconds that took."""
        start = time.perf_counter()
        os.write(self._master, keys)
        said = b""
        while not shown.search(said):
            if not select.select([self._master], [], [], GIVE_UP_S)[0]:
                raise TimeoutError(f"{keys!r}: no {shown.pattern!r} in {said[-500:]!r}")
            said += os.read(self._master, 1 << 16)
        return time.perf_counter() - start

    def rest(self, seconds: float) -> None:
        """Read what comes meanwhile."""
        deadline = time.perf_counter() + seconds
        while (left := deadline - time.perf_counter()) > 0:
            if select.select([self._master], [], [], left)[0]:
                os.read(self._master, 1 << 16)

    def end(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._master)


@contextlib.contextmanager
def _dashboard() -> Iterator[Terminal]:
    with tempfile.TemporaryDirectory(prefix="pdk") as folder:
        socket = Path(folder, "api")
        command = [sys.executable, "-m", "tests.bench.keys", "serve", str(socket)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
            try:
                assert server.stdout is not None
                server.stdout.readline()
                with _first_in_line():
                    terminal = Terminal(socket)
                    try:
                        yield terminal
                    finally:
                        terminal.end()
            finally:
                server.terminate()


@contextlib.contextmanager
def _first_in_line() -> Iterator[None]:
    """Real-time for us and the dashboard (sched(7)), not for the server: what else runs on the
    machine is not what is measured."""
    before, at = os.sched_getscheduler(0), os.sched_getparam(0)
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, before, at)


def _on_cursor(name: str) -> re.Pattern[bytes]:
    """A name on the background of the cursor's row."""
    from tui.themes.palette import DARK

    colour = DARK.colours["cursor"]
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return re.compile(rb"48;2;%d;%d;%dm[^\x1b]*%s" % (red, green, blue, name.encode()))


def _once() -> list[float]:
    """Milliseconds of each key."""
    with _dashboard() as terminal:
        terminal.press(b"", re.compile(rb"overview"))
        terminal.press(b":pods\r", _on_cursor(_name(0)))
        terminal.rest(3.0)
        took = []
        for number in range(1, KEYS + 1):
            took.append(1e3 * terminal.press(b"j", _on_cursor(_name(number))))
            terminal.rest(random.uniform(*PAUSE_S))
        return took


def measure(runs: int) -> list[Row]:
    """The median, 90th and 99th percentile of 400 keys."""
    crowded = Path("/proc/pressure/cpu")
    results: dict[str, list[float]] = {"p50": [], "p90": [], "p99": []}
    for _ in range(runs):
        took = statistics.quantiles(_once(), n=100)
        for name, values in results.items():
            values.append(took[int(name[1:]) - 1])
        if crowded.exists():
            share = float(crowded.read_text().split("avg10=")[1].split()[0])
            if share > CROWDED:
                print(f"keys: {share:.0f} % of the last 10 s something waited for a core")
    title = f"a key's paint, {PODS} pods, {UPDATES} updates/s"
    return [Row(f"{title}: {name}", "ms", values, BAR_MS) for name, values in results.items()]


# -- the other two processes -----------------------------------------------------------------


def _name(number: int) -> str:
    return f"pod-{number:05}"


async def _serve(socket: Path) -> None:
    from aiohttp import web

    from tests.tui import made_up

    pods = [made_up.pod(_name(n), n % 3 + 1, made_up.WEB, {}) for n in range(PODS)]
    nodes = [made_up.node(n) for n in (1, 2, 3)]
    listed = {"pods": pods, "nodes": nodes}

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.startswith(("/podarium", "/apis/podarium.io")):
            raise web.HTTPNotFound
        plural = request.path.rpartition("/")[2]
        if request.query.get("watch") in ("true", "1"):
            return await _watch(request, pods if plural == "pods" else [])
        document = {"metadata": {"resourceVersion": "1"}, "items": listed.get(plural, [])}
        return web.Response(body=msgspec.json.encode(document), content_type="application/json")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(socket)).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


async def _watch(request: web.Request, pods: list[dict[str, Any]]) -> web.StreamResponse:
    """Every hundredth of a second ten pods have restarted once more."""
    from aiohttp import web

    response = web.StreamResponse()
    await response.prepare(request)
    if not pods:
        await asyncio.Event().wait()
    chance = random.Random(1)
    version, due = 1, time.monotonic()
    while not request.transport or not request.transport.is_closing():
        lines = []
        for pod in chance.choices(pods, k=UPDATES // 100):
            version += 1
            pod["metadata"]["resourceVersion"] = str(version)
            pod["status"]["containerStatuses"][0]["restartCount"] += 1
            lines.append(msgspec.json.encode({"type": "MODIFIED", "object": pod}))
        await response.write(b"\n".join(lines) + b"\n")
        due += 0.01
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    return response


def _show(socket: Path) -> None:
    from tui.app import run_dashboard
    from tui.endpoint import Endpoint

    run_dashboard(Endpoint(unix=socket), cluster="bench")


if __name__ == "__main__":
    word, path = sys.argv[1], Path(sys.argv[2])
    if word == "serve":
        asyncio.run(_serve(path))
    else:
        _show(path)
