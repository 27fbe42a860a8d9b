"""A client's end of a WebSocket, on aiohttp."""

from __future__ import annotations

import aiohttp

MESSAGE_MAX = 16 << 20


class End:
    """Satisfies engine.stream.socket.Socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def receive(self) -> bytes | None:
        """The next message; None when there will be no more."""
        message = await self._socket.receive()
        if message.type is aiohttp.WSMsgType.BINARY:
            data: bytes = message.data
            return data
        return message.data.encode() if message.type is aiohttp.WSMsgType.TEXT else None

    async def send(self, message: bytes) -> None:
        """Raise ConnectionError when the other end is gone."""
        await self._socket.send_bytes(message)
