"""A conversation with a process in a container: one executed for it, or the container's first.

It has the process' ends, and lives no longer than whoever holds it: closed, what was executed is
told to hang up, and killed with all its jobs when it does not.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from engine.linux import terminal
from engine.runtime import wire
from engine.runtime.pipe import Reader, Writer


@dataclass(frozen=True)
class Ends:
    """Ours: `outputs` "stdout", and without a terminal "stderr"; `writer` to the input, and with a
    terminal always, for it is what is resized."""

    outputs: Mapping[str, Reader]
    writer: Writer | None
    terminal: bool = False

    def close(self) -> None:
        for reader in self.outputs.values():
            reader.close()
        if self.writer is not None:
            self.writer.close()


Begin = Callable[[Mapping[str, int]], Awaitable[object]]
"""Begins a process with its ends, by name; they are closed when that has happened."""


async def on_pipes(begin: Begin, stdin: bool) -> Ends:
    """Begin it with pipes; without `stdin` it has nothing to read."""
    outputs, theirs = _outputs()
    writer = None
    if stdin:
        theirs["stdin"], ours = os.pipe2(os.O_CLOEXEC)
        writer = Writer(ours)
    return await _begun(begin, theirs, Ends(outputs, writer))


async def on_terminal(begin: Begin) -> Ends:
    """Begin it on a terminal of its own, whose other end it sends."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        await begin({"console": theirs.fileno()})
        master = wire.receive_fd(ours)
    return Ends({"stdout": Reader(os.dup(master))}, Writer(master), terminal=True)


async def on_copies(
    begin: Callable[[Mapping[str, int]], Awaitable[tuple[bool, list[int]]]], stdin: bool
) -> Ends:
    """Begin to get copies of what one says that runs already. `begin` gives whether it has a
    terminal, and what writes to it. Raise OSError(ENXIO) when it takes no input."""
    outputs, theirs = _outputs()
    ends = Ends(outputs, None)
    try:
        has_terminal, writers = await begin(theirs)
    except BaseException:
        ends.close()
        raise
    finally:
        _close(theirs.values())
    if stdin and not writers:
        ends.close()
        raise OSError(errno.ENXIO, "it takes no input")
    if not (stdin or has_terminal):
        _close(writers)
        writers = []
    return Ends(outputs, Writer(writers[0]) if writers else None, has_terminal)


def _outputs() -> tuple[dict[str, Reader], dict[str, int]]:
    ours, theirs = {}, {}
    for name in ("stdout", "stderr"):
        reader, theirs[name] = os.pipe2(os.O_CLOEXEC)
        ours[name] = Reader(reader)
    return ours, theirs


async def _begun(begin: Begin, theirs: Mapping[str, int], ends: Ends) -> Ends:
    try:
        await begin(theirs)
    except BaseException:
        ends.close()
        raise
    finally:
        _close(theirs.values())
    return ends


def _close(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


def _nothing() -> None:
    """There is nobody to tell."""


class Session:
    """`outputs` end by themselves; then wait() tells how it ended."""

    def __init__(
        self,
        ends: Ends,
        *,
        ended: asyncio.Future[int] | None = None,
        on_input_end: Callable[[], None] = _nothing,
        on_close: Callable[[], None] = _nothing,
    ) -> None:
        """`ended` gets the exit code; there is none for a process that is only attached to."""
        self.outputs = ends.outputs
        self.terminal = ends.terminal
        self._ends = ends
        self._ended = ended
        self._on_input_end = on_input_end
        self._on_close = on_close
        self._closed = False
        if ended is not None:
            ended.add_done_callback(self._process_ended)

    def _process_ended(self, ended: asyncio.Future[int]) -> None:
        if not ended.cancelled():
            ended.exception()  # told to whoever waits, if anyone does
        for reader in self.outputs.values():
            reader.finish()
        if self._closed:
            self._ends.close()

    async def write(self, data: bytes) -> None:
        """To its input. What nobody reads any more is dropped."""
        if self._ends.writer is not None:
            await self._ends.writer.write(data)

    def end_input(self) -> None:
        """Let it read the end; a terminal has none, and goes on."""
        if self._ends.writer is not None and not self.terminal:
            self._ends.writer.close()
            self._on_input_end()

    def resize(self, columns: int, rows: int) -> None:
        """Its terminal, if it has one."""
        writer = self._ends.writer
        if self.terminal and writer is not None and writer.fd >= 0:
            terminal.resize(writer.fd, columns, rows)

    async def wait(self) -> int | None:
        """Its exit code, 128 + signal for a signal; at once None when only attached to. Raise
        KeeperLost."""
        return None if self._ended is None else await self._ended

    def close(self) -> None:
        """End it; fine when it has ended."""
        if self._closed:
            return
        self._closed = True
        self._on_close()
        if self._ended is None or self._ended.done():
            self._ends.close()
        # Else when it has ended: a shell that cannot say "Hangup" dies before it cleans up.
