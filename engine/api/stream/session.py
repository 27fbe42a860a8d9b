"""Exec and attach: a session on a node, spoken over channels.

Each output is read only when what was read before has been sent, and input is received only when
the process has taken the input before: whoever is slow makes the others wait, and fills no memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from engine.api.gateway import Output, Session
from engine.api.request import Request
from engine.stream import channel
from engine.stream.channel import Channel
from engine.stream.socket import ProtocolError, Socket
from engine.types.status import BadRequest, StatusError

_CHANNELS = {"stdout": Channel.STDOUT, "stderr": Channel.STDERR}


@dataclass(frozen=True)
class Wanted:
    """What of a process a client wants to have."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool

    @classmethod
    def of(cls, request: Request) -> Wanted:
        """Raise BadRequest."""
        found = cls(*(request.flag(name) for name in ("stdin", "stdout", "stderr", "tty")))
        if not (found.stdin or found.stdout or found.stderr):
            raise BadRequest("you must specify at least 1 of stdin, stdout, stderr")
        if found.tty and found.stderr:
            raise BadRequest("tty and stderr cannot both be true")
        return found


async def converse(
    socket: Socket,
    begin: Callable[[], Awaitable[Session]],
    wanted: Wanted,
    *,
    patience_s: float | None = None,
) -> None:
    """Until the process or the client ends; the other end is then ended too.

    A client that takes nothing for `patience_s` is let go.
    """
    try:
        session = await begin()
    except StatusError as error:
        await socket.send(channel.frame(Channel.STATUS, channel.failure(error)))
        return
    hearing = asyncio.create_task(_hear(socket, session, wanted))
    speaking = asyncio.create_task(_speak(socket, session, wanted, patience_s))
    try:
        await asyncio.wait((hearing, speaking), return_when=asyncio.FIRST_COMPLETED)
        if not speaking.done() and (fault := hearing.exception()) is not None:
            told = channel.failure(BadRequest(str(fault)))
            await socket.send(channel.frame(Channel.STATUS, told))
    finally:
        hearing.cancel()
        speaking.cancel()
        session.close()
        outcomes = await asyncio.gather(hearing, speaking, return_exceptions=True)
    for outcome in outcomes:
        expected = (asyncio.CancelledError, ConnectionError, ProtocolError, TimeoutError)
        if isinstance(outcome, BaseException) and not isinstance(outcome, expected):
            raise outcome


async def _hear(socket: Socket, session: Session, wanted: Wanted) -> None:
    """Give the process what the client says; return when the client is gone."""
    while (message := await socket.receive()) is not None:
        name, data = channel.parse(message)
        if name is Channel.STDIN and wanted.stdin:
            await session.write(data)
        elif name is Channel.RESIZE:
            session.resize(*channel.read_size(data))
        elif name is Channel.CLOSE and data == bytes((Channel.STDIN,)) and wanted.stdin:
            session.end_input()


async def _speak(
    socket: Socket, session: Session, wanted: Wanted, patience_s: float | None
) -> None:
    """Give the client what the process says, and at the end how it ended."""
    shown = {"stdout": wanted.stdout, "stderr": wanted.stderr}

    async def copy(name: str, output: Output) -> None:
        while data := await output.read():
            if shown[name]:
                async with asyncio.timeout(patience_s):
                    await socket.send(channel.frame(_CHANNELS[name], data))

    copies = [asyncio.create_task(copy(*output)) for output in session.outputs.items()]
    try:
        await asyncio.gather(*copies)
    finally:
        for task in copies:
            task.cancel()
    code = await session.wait()
    await socket.send(channel.frame(Channel.STATUS, channel.outcome(code)))
