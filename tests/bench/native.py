"""The C program that does what the engine does, and nothing else; and through it, so that each is
started as cheaply, any other runtime's command."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.bench.container import Container


@dataclass(frozen=True)
class Start:
    """Milliseconds: to the first instruction, to its end being known; CPU that it all took; when it
    was begun, where that is told. Of a stop: to its end being known, to all of it being gone."""

    first: float
    reaped: float
    cpu: float
    began: float = 0.0


# crun refuses a hybrid machine whose v2 tree has any controller; so it is shown v1 alone.
V1_ALONE = (
    *("unshare", "--mount", "sh", "-c"),
    'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"',
    "sh",
)


class Floor:
    """The C program, and through it any other runtime's command."""

    def __init__(self, program: Path, container: Container, *within: str) -> None:
        self._process = subprocess.Popen(
            [*within, program, *container.floor()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def _ask(self, *words: object) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\t".join(map(str, words)).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline().decode()
        if not line:
            raise RuntimeError(f"the floor could not do: {words}")
        return line

    async def time(self, *words: object) -> Start:
        """Have it do that, and measure; it does one thing at a time."""
        return self.do(*words)

    def do(self, *words: object) -> Start:
        """The same."""
        first, reaped, cpu_us, began = map(int, self._ask(*words).split())
        return Start(first / 1e6, reaped / 1e6, cpu_us / 1e3, began / 1e6)

    def show(self, *files: str) -> str:
        """What a container of it sees there."""
        assert self._process.stdout is not None
        line, text = self._ask("show", *files), ""
        while line != ".\n":
            text += line
            line = self._process.stdout.readline().decode()
        return text

    def close(self) -> None:
        self._process.communicate()
