"""The terminal that a person sits at, lent to a process elsewhere, and always given back."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from engine.client.session import Session
from engine.stream.channel import Channel

DETACH = b"\x10\x11"
"""Ctrl-p, ctrl-q."""
_CHUNK = 32 * 1024
_FDS = {Channel.STDOUT: 1, Channel.STDERR: 2}


def show(fd: int, data: bytes) -> None:
    """All of it, unbuffered."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


async def converse(
    session: Session,
    *,
    interactive: bool,
    tty: bool,
    detach: bool = False,
    show: Callable[[int, bytes], None] = show,
) -> int | None:
    """Let a person talk with a process until it ends; its exit code.

    With `tty` the terminal is raw meanwhile, and its size is told. `show` is given what the process
    says, by descriptor, and b"" at the end. With `detach` who types DETACH leaves the process to
    itself: then None. Raise StatusError when the process could not be begun, ConnectionError when
    its end was never told.
    """
    with ExitStack() as stack:
        listening = asyncio.create_task(_listen(session, show))
        tasks: list[asyncio.Task[Any]] = [listening]
        leaving = asyncio.Event()
        if tty:
            resize = asyncio.Event()
            resize.set()
            stack.enter_context(on_resize(resize.set))
            stack.enter_context(raw())
            tasks.append(asyncio.create_task(_follow_size(session, resize)))
        if interactive:
            tasks.append(asyncio.create_task(_send(session, leaving if detach else None)))
        left = asyncio.create_task(leaving.wait())
        tasks.append(left)
        try:
            await asyncio.wait({listening, left}, return_when=asyncio.FIRST_COMPLETED)
            if not listening.done():
                return None
            listening.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return session.exit_code()


async def _listen(session: Session, show: Callable[[int, bytes], None]) -> None:
    async for name, data in session:
        show(_FDS[name], data)
    for fd in _FDS.values():
        show(fd, b"")


async def _send(session: Session, leaving: asyncio.Event | None) -> None:
    held = b""
    async for data in typed():
        data = held + data
        held = b""
        if leaving is not None:
            before, keys, _ = data.partition(DETACH)
            if keys:
                await session.write(before)
                leaving.set()
                return
            if data.endswith(DETACH[:1]):
                data, held = data[:-1], DETACH[:1]
        await session.write(data)
    await session.write(held)
    await session.end_input()


async def _follow_size(session: Session, changed: asyncio.Event) -> None:
    while True:
        await changed.wait()
        changed.clear()
        size = os.get_terminal_size(sys.stdin.fileno())
        await session.resize(size.columns, size.lines)


@contextmanager
def raw() -> Iterator[None]:
    """Every key is passed on as it is, Ctrl-C too; whatever happens the old mode comes back."""
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    tty.setraw(fd)
    try:
        yield
    finally:
        # Not at once: what the other end has still written belongs on the screen first.
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


@contextmanager
def on_resize(changed: Callable[[], None]) -> Iterator[None]:
    """Call back at every SIGWINCH."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGWINCH, changed)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)


async def typed() -> AsyncIterator[bytes]:
    """What comes from standard input, to its end, no faster than it is taken."""
    loop, fd = asyncio.get_running_loop(), sys.stdin.fileno()
    while True:
        ready = asyncio.Event()
        try:
            loop.add_reader(fd, ready.set)
        except PermissionError:
            ready.set()  # a file, which epoll(7) does not take and which never waits
        try:
            await ready.wait()
        finally:
            loop.remove_reader(fd)
        data = os.read(fd, _CHUNK)
        if not data:
            return
        yield data
