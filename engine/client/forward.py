"""A pod's ports, reached through the API: each local connection becomes two streams of one tunnel.

Works with any cluster that tunnels port-forward in WebSockets (Kubernetes 1.31 and newer).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from engine.client.transport import Dialer
from engine.stream.multiplex import Multiplexed, Stream
from engine.stream.socket import ProtocolError
from engine.types.core import Pod
from engine.types.registry import resource_for

PROTOCOL = "SPDY/3.1+portforward.k8s.io"
_CHUNK = 64 * 1024


class ForwardError(Exception):
    """A connection that the other end could not make; the message is its own."""


def pair(text: str) -> tuple[int, int]:
    """A local port (0: any that is free) and the pod's, of `8080:80`, `80` (the same here and
    there) or `:80`. Raise ValueError."""
    local, colon, remote = text.strip().rpartition(":")
    local = local if colon else remote
    found = [int(part) if part.isdecimal() else -1 for part in (local or "0", remote)]
    if not (0 <= found[0] < 65536 and 0 < found[1] < 65536):
        raise ValueError(f"{text!r}: write LOCAL:REMOTE, as 8080:80, or one port for both")
    return found[0], found[1]


class Tunnel:
    """To one pod. `lost` is set when it has ended."""

    def __init__(self, connection: Multiplexed) -> None:
        self.lost = asyncio.Event()
        self._connection = connection
        self._numbers = itertools.count()

    async def run(self) -> None:
        try:
            await self._connection.run()
        except (ConnectionError, ProtocolError):
            return
        finally:
            self.lost.set()

    async def carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
    ) -> None:
        """A local connection to a port of the pod, to its end; then it is closed.

        Raise ForwardError, and ConnectionError when the tunnel or either end breaks.
        """
        headers = {"port": str(port), "requestid": str(next(self._numbers))}
        try:
            error = await self._connection.open({**headers, "streamtype": "error"}, fin=True)
            data = await self._connection.open({**headers, "streamtype": "data"})
            sending = asyncio.create_task(_send(reader, data))
            try:
                while block := await data.read():
                    writer.write(block)
                    await writer.drain()
                if writer.can_write_eof():
                    writer.write_eof()
                said = b"".join([block async for block in _all(error)])
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
                await data.end()
        finally:
            writer.close()
        if said:
            raise ForwardError(said.decode(errors="replace"))


async def listen(
    tunnel: Tunnel,
    addresses: list[str],
    local: int,
    remote: int,
    failed: Callable[[str], None],
) -> asyncio.Server:
    """Carry every connection to a local port. `failed` is told of one that could not be made.

    Raise OSError when the port cannot be had.
    """

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await tunnel.carry(reader, writer, remote)
        except ForwardError as error:
            failed(f"port {remote}: {error}")
        except ConnectionError:
            return  # one end hung up

    return await asyncio.start_server(carry, addresses, local)


async def _send(reader: asyncio.StreamReader, data: Stream) -> None:
    try:
        while block := await reader.read(_CHUNK):
            await data.write(block)
    finally:
        await data.end()


async def _all(stream: Stream) -> AsyncIterator[bytes]:
    while block := await stream.read():
        yield block


@asynccontextmanager
async def tunnel(dialer: Dialer, namespace: str, pod: str) -> AsyncIterator[Tunnel]:
    """Raise StatusError, Unreachable."""
    path = resource_for(Pod).path(namespace, pod, "portforward")
    async with dialer.socket(path, query=(), protocols=(PROTOCOL,)) as (socket, _):
        made = Tunnel(Multiplexed(socket))
        running = asyncio.create_task(made.run())
        try:
            yield made
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
