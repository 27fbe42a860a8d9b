"""The other end of an exec: a shell that says again what is typed, and ends at `exit`."""

from __future__ import annotations

import asyncio

from engine.stream import channel
from engine.stream.channel import Channel
from engine.types.status import StatusError


class FakeShell:
    """A WebSocket's end."""

    def __init__(self) -> None:
        self.typed = b""
        self.sizes: list[tuple[int, int]] = []
        self._said: asyncio.Queue[bytes | None] = asyncio.Queue()

    def ends(self, code: int) -> None:
        self._said.put_nowait(channel.frame(Channel.STATUS, channel.outcome(code)))

    def refuses(self, error: StatusError) -> None:
        self._said.put_nowait(channel.frame(Channel.STATUS, channel.failure(error)))

    def breaks(self) -> None:
        """The connection ends without a word."""
        self._said.put_nowait(None)

    async def send(self, message: bytes) -> None:
        name, data = channel.parse(message)
        if name is Channel.RESIZE:
            self.sizes.append(channel.read_size(data))
        elif name is Channel.STDIN:
            self.typed += data
            self._said.put_nowait(channel.frame(Channel.STDOUT, data))
            if self.typed.endswith(b"exit\r"):
                self.ends(0)

    async def receive(self) -> bytes | None:
        return await self._said.get()
