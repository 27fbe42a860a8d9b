"""The API's end of a WebSocket, on aiohttp.

aiohttp stops reading while nobody receives, and then does not see a client go; so we ping, which
fails when nobody is there. An answer is not waited for: it may stand behind input that a process
takes its time to read.
"""

from __future__ import annotations

import asyncio

from aiohttp import WSMsgType, web

from engine.api.request import Upgrade

PING_S = 10.0
CLOSE_S = 2.0
MESSAGE_MAX = 4 << 20


async def upgrade(http: web.BaseRequest, wanted: Upgrade) -> web.StreamResponse:
    """Become a WebSocket, talk, and close it."""
    end = web.WebSocketResponse(
        protocols=(wanted.protocol,), compress=False, max_msg_size=MESSAGE_MAX, timeout=CLOSE_S
    )
    try:
        await end.prepare(http)
        pinging = asyncio.create_task(_ping(end))
        try:
            await wanted.talk(_End(end))
        finally:
            pinging.cancel()
        await end.close()
    except ConnectionError:
        pass  # the client is gone, and what it had with it
    return end


async def _ping(end: web.WebSocketResponse) -> None:
    while True:
        await asyncio.sleep(PING_S)
        try:
            await end.ping()
        except ConnectionError:
            return


class _End:
    def __init__(self, end: web.WebSocketResponse) -> None:
        self._end = end

    async def receive(self) -> bytes | None:
        message = await self._end.receive()
        if message.type is WSMsgType.BINARY:
            data: bytes = message.data
            return data
        return message.data.encode() if message.type is WSMsgType.TEXT else None

    async def send(self, message: bytes) -> None:
        await self._end.send_bytes(message)
