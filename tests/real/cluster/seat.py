"""A command on a terminal of its own, as a person sits before it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

PATIENCE_S = 60.0


class Seat:
    """`text` is everything that the screen was sent."""

    def __init__(self, pid: int, terminal: int) -> None:
        self.pid = pid
        self.terminal = terminal
        self.text = ""
        self.code: int | None = None

    def type(self, words: str) -> None:
        os.write(self.terminal, words.encode())

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("=4H", rows, columns, 0, 0))

    def mode(self) -> list[object]:
        """The terminal's settings: tcgetattr(3)."""
        return termios.tcgetattr(self.terminal)

    def until(self, pattern: str) -> str:
        """Read until the pattern is on the screen; what came with it, and the rest is kept."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := re.search(pattern, self.text)) is None:
            assert self._read(deadline), f"never said {pattern!r}: {self.text!r}"
        self.text = self.text[found.end() :]
        return found[0]

    def end(self) -> str:
        """Read to the end, and note the exit code."""
        deadline = time.monotonic() + PATIENCE_S
        while self._read(deadline):
            pass
        self.wait()
        return self.text

    def wait(self) -> None:
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self.terminal], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"said nothing more: {self.text!r}"
        try:
            data = os.read(self.terminal, 65536)
        except OSError:  # EIO: the other end is closed
            return False
        self.text += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)


@contextmanager
def seat(
    *command: str, env: Mapping[str, str], columns: int = 80, rows: int = 24
) -> Iterator[Seat]:
    """Killed at the end, if it still runs."""
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            os.execvpe(command[0], command, env)
        finally:
            os._exit(127)
    made = Seat(pid, terminal)
    made.resize(columns, rows)
    try:
        yield made
    finally:
        if made.code is None:
            os.kill(pid, signal.SIGKILL)
            made.wait()
        os.close(terminal)
