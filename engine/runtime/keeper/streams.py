"""What goes in and out of a container: its log, its input, and those attached to it."""

from __future__ import annotations

import os
import socket

from engine.runtime import wire
from engine.runtime.keeper.logs import Log, Stream
from engine.runtime.keeper.taps import Tap
from engine.runtime.ops.base import Context, Op
from engine.runtime.ops.stdio import Stdio, Terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from engine.runtime.keeper.loop import Loop

_PIPE = 1024 * 1024
"""/proc/sys/fs/pipe-max-size, unless somebody has raised it."""


class Streams:
    """The keeper's ends. `input` writes to the container, and is -1 when it has none."""

    def __init__(self, ops: list[Op], loop: Loop) -> None:
        """`ops`, the container's own, tell what it wants."""
        self.input = -1
        self.terminal = any(isinstance(op, Terminal) for op in ops)
        self._stdin = any(isinstance(op, Stdio) and op.stdin for op in ops)
        self._loop = loop
        self._outputs: dict[str, int] = {}
        self._sources: dict[str, _Source] = {}
        self._theirs: list[int] = []
        self._console: socket.socket | None = None
        self._log: Log | None = None

    def open(self, context: Context) -> None:
        """Make both ends, and leave the child's in `context`."""
        if self.terminal:
            self._console, other = socket.socketpair()
            context.console = other.detach()
            self._theirs.append(context.console)
            return
        self._outputs["stdout"], context.stdout = os.pipe2(os.O_CLOEXEC)
        self._theirs.append(context.stdout)
        self._outputs["stderr"], context.stderr = os.pipe2(os.O_CLOEXEC)
        self._theirs.append(context.stderr)
        if self._stdin:
            context.stdin, self.input = os.pipe2(os.O_CLOEXEC)
            self._theirs.append(context.stdin)

    def let_go(self) -> None:
        """Of the child's ends, once it has them."""
        while self._theirs:
            os.close(self._theirs.pop())

    def begin(self, log: Log) -> None:
        """The program runs: what it says is for `log`, which becomes ours, and the terminal that it
        opened has been sent."""
        self._log = log
        if self._console is not None:
            self.input = wire.receive_fd(self._console)
            self._console.close()
            self._console = None
            self._outputs["stdout"] = os.dup(self.input)
        outputs, self._outputs = self._outputs, {}
        for name, fd in outputs.items():
            os.set_blocking(fd, False)
            self._sources[name] = _Source(Stream(fd, name.encode(), log), self._loop)

    @classmethod
    def adopted(cls, fds: dict[str, int], kept: dict[str, Any], log: Log, loop: Loop) -> Streams:
        """Another keeper's, from its descriptors(), ours from now on, and its kept(), perhaps with
        its unfinished()."""
        streams = cls([], loop)
        streams.terminal = kept["terminal"]
        streams.input = fds.pop("input", -1)
        streams._outputs = fds
        streams.begin(log)
        for name, (rest, taps) in kept.get("outputs", {}).items():
            streams._sources[name].go_on(rest, taps)
        return streams

    def kept(self) -> dict[str, Any]:
        return {"terminal": self.terminal}

    def unfinished(self) -> dict[str, Any]:
        """What changes all the time: of each output what was read and is in no log yet, with
        Tap.kept() of each; and how many lines are missing in the log, which does not say so yet."""
        outputs = {name: s.unfinished() for name, s in self._sources.items() if not s.closed}
        return {"outputs": outputs, "dropped": self._log.dropped if self._log else 0}

    def descriptors(self) -> dict[str, int]:
        """The other ends of what the container has, by name; they stay ours."""
        fds = {name: source.fd for name, source in self._sources.items() if not source.closed}
        return fds | ({"input": self.input} if self.input >= 0 else {})

    def attach(self, name: str, fd: int) -> None:
        """Copy "stdout" or "stderr", from now on, into the pipe `fd`, which becomes ours."""
        source = self._sources.get(name)
        if source is None or source.closed:
            os.close(fd)
        else:
            source.attach(fd)

    def end_input(self) -> None:
        """The container reads the end of its input; a terminal has none."""
        if self.input >= 0 and not self.terminal:
            os.close(self.input)
            self.input = -1

    def drain(self) -> None:
        """Log what the pipes still hold, when nobody writes to them any more."""
        for source in self._sources.values():
            source.drain()

    def close(self) -> None:
        self.let_go()
        while self._outputs:
            os.close(self._outputs.popitem()[1])
        for source in self._sources.values():
            source.close()
        if self._console is not None:
            self._console.close()
        if self.input >= 0:
            os.close(self.input)
            self.input = -1
        if self._log is not None:
            self._log.close()


class _Source:
    """One output, which is read as long as everybody attached to it keeps up."""

    def __init__(self, stream: Stream, loop: Loop) -> None:
        self.closed = False
        self._stream = stream
        self._loop = loop
        self._reading = False
        self._go_on()

    @property
    def fd(self) -> int:
        return self._stream.fd

    def attach(self, fd: int) -> Tap:
        tap = Tap(fd, self._loop, self._room)
        self._stream.add(tap)
        return tap

    def unfinished(self) -> tuple[bytes, list[tuple[int, bytes, int]]]:
        return self._stream.rest, [tap.kept() for tap in self._stream.taps]

    def go_on(self, rest: bytes, taps: list[tuple[int, bytes, int]]) -> None:
        for fd, unread, missed in taps:
            tap = self.attach(fd)
            tap.missed = missed
            tap.write(unread)
        # Afterwards: those taps have had it.
        self._stream.rest = rest

    def drain(self) -> None:
        # Not more than a pipe can hold: somebody else may have its other end, and go on.
        left = _PIPE
        while left > 0 and not self.closed and (size := self._stream.pump()) > 0:
            left -= size

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._stream.end()
            self._pause()
            os.close(self._stream.fd)

    def _pump(self) -> None:
        if self._stream.pump() == 0:
            self.close()
        elif self._stream.full:
            self._pause()

    def _room(self, tap: Tap) -> None:
        if tap.gone:
            self._stream.discard(tap)
        if not self._stream.full:
            self._go_on()

    def _go_on(self) -> None:
        if not self._reading and not self.closed:
            self._reading = True
            self._loop.add(self._stream.fd, self._pump)

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove(self._stream.fd)
