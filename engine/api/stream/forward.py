"""Port-forward: each connection of the client's is two streams, one for data and one that says what
went wrong (kubernetes: PORTFORWARD over SPDY, in a WebSocket)."""

from __future__ import annotations

import asyncio
import socket as sockets
from collections.abc import Awaitable, Callable

from engine.stream import spdy
from engine.stream.multiplex import Multiplexed, Stream
from engine.stream.socket import ProtocolError, Socket
from engine.types.status import StatusError

PROTOCOL = "SPDY/3.1+portforward.k8s.io"
_CHUNK = 64 * 1024


async def forward(socket: Socket, dial: Callable[[int], Awaitable[sockets.socket]]) -> None:
    """Serve connections to a pod's ports until the client goes; with it they all end."""
    await _Forwarding(socket, dial).run()


class _Forwarding:
    def __init__(self, socket: Socket, dial: Callable[[int], Awaitable[sockets.socket]]) -> None:
        self._connection = Multiplexed(socket, self._arrived)
        self._dial = dial
        self._halves: dict[str, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        try:
            await self._connection.run()
        except (ConnectionError, ProtocolError):
            return
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _arrived(self, stream: Stream) -> None:
        kind = stream.headers.get("streamtype", "")
        # Clients that give a connection no number begin its error stream, then its data stream.
        number = stream.id if kind == "error" else stream.id - 2
        key = stream.headers.get("requestid") or f"stream {number}"
        port = stream.headers.get("port", "")
        if kind not in ("error", "data") or not (port.isdecimal() and 0 < int(port) < 65536):
            self._spawn(stream.reset(spdy.PROTOCOL_ERROR))
            return
        other = self._halves.pop(key, None)
        if other is None:
            self._halves[key] = stream
            return
        error, data = (stream, other) if kind == "error" else (other, stream)
        self._spawn(self._serve(error, data, int(port)))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, error: Stream, data: Stream, port: int) -> None:
        try:
            connected = await self._dial(port)
        except StatusError as failure:
            await error.write(failure.message.encode())
            await error.end()
            await data.end()
            return
        reader, writer = await asyncio.open_connection(sock=connected)
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(_quietly(_up(data, writer)))
                ways.create_task(_quietly(_down(reader, data)))
            await error.end()
        finally:
            writer.transport.abort()


async def _quietly(work: Awaitable[None]) -> None:
    """One connection that breaks is nobody else's trouble."""
    try:
        await work
    except ConnectionError:
        return


async def _up(data: Stream, writer: asyncio.StreamWriter) -> None:
    while block := await data.read():
        writer.write(block)
        await writer.drain()
    writer.write_eof()


async def _down(reader: asyncio.StreamReader, data: Stream) -> None:
    try:
        while block := await reader.read(_CHUNK):
            await data.write(block)
    finally:
        await data.end()
