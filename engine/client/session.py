"""A process in a pod's container, talked with through the API: exec and attach.

    async with execute(transport, "default", "web-1", ["sh"], terminal=True, stdin=True) as session:
        async for channel, data in session: ...
        code = session.exit_code()

Works with any cluster that speaks WebSocket (Kubernetes 1.30 and newer; in v4 since 1.6).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from engine.client.transport import Dialer
from engine.stream import channel
from engine.stream.channel import Channel
from engine.stream.socket import Socket
from engine.types.core import Pod
from engine.types.registry import resource_for

_PIECE = 32 * 1024


class Session:
    """Our end. Iterate over it for what the process says: (STDOUT or STDERR, bytes)."""

    def __init__(self, socket: Socket, protocol: str) -> None:
        self._socket = socket
        self._protocol = protocol
        self._outcome: bytes | None = None

    async def __aiter__(self) -> AsyncIterator[tuple[Channel, bytes]]:
        """Until the process has ended, or the connection."""
        while self._outcome is None:
            message = await self._socket.receive()
            if message is None:
                return
            name, data = channel.parse(message)
            if name is Channel.STATUS:
                self._outcome = data
            elif data and name in (Channel.STDOUT, Channel.STDERR):
                yield name, data

    def exit_code(self) -> int:
        """How it ended, after everything it said. Raise StatusError when it could not be begun,
        ConnectionError when that was never told."""
        if self._outcome is None:
            raise ConnectionError("the connection ended before the command did")
        return channel.read_outcome(self._outcome)

    async def write(self, data: bytes) -> None:
        """To its input; waits while it is slow. Raise ConnectionError."""
        for begin in range(0, len(data), _PIECE):
            await self._socket.send(channel.frame(Channel.STDIN, data[begin : begin + _PIECE]))

    async def end_input(self) -> None:
        """It reads the end; an old server (v4) cannot be told."""
        if self._protocol == channel.V5:
            await self._socket.send(channel.frame(Channel.CLOSE, bytes((Channel.STDIN,))))

    async def resize(self, columns: int, rows: int) -> None:
        """Its terminal."""
        await self._socket.send(channel.frame(Channel.RESIZE, channel.size(columns, rows)))


def execute(
    dialer: Dialer,
    namespace: str,
    pod: str,
    command: Sequence[str],
    *,
    container: str = "",
    terminal: bool = False,
    stdin: bool = False,
) -> AbstractAsyncContextManager[Session]:
    """Run a command; leaving the context ends it. Raise StatusError, Unreachable."""
    words = [("command", word) for word in command]
    return _open(dialer, namespace, pod, "exec", container, terminal, stdin, words)


def attach(
    dialer: Dialer,
    namespace: str,
    pod: str,
    *,
    container: str = "",
    terminal: bool = False,
    stdin: bool = False,
) -> AbstractAsyncContextManager[Session]:
    """Join a container's first process. Raise StatusError, Unreachable."""
    return _open(dialer, namespace, pod, "attach", container, terminal, stdin, [])


@asynccontextmanager
async def _open(
    dialer: Dialer,
    namespace: str,
    pod: str,
    action: str,
    container: str,
    terminal: bool,
    stdin: bool,
    query: list[tuple[str, str]],
) -> AsyncIterator[Session]:
    wanted = {"stdin": stdin, "stdout": True, "stderr": not terminal, "tty": terminal}
    query = [*query, *((name, "true") for name, value in wanted.items() if value)]
    if container:
        query.append(("container", container))
    path = resource_for(Pod).path(namespace, pod, action)
    async with dialer.socket(path, query=query, protocols=channel.PROTOCOLS) as (socket, protocol):
        yield Session(socket, protocol)
