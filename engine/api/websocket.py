"""The API's end of a WebSocket, on aiohttp.

aiohttp stops reading while nobody receives, as while a process does not take its input, and then
does not see a client go. So that is looked for, once a second; and as its FIN may stand behind data
that we have no room for, it is pinged too, which the system of one that is gone answers with RST.
An answer of the client's is not waited for: it would stand behind that data too.
"""

from __future__ import annotations

import asyncio
import select

from aiohttp import WSMsgType, web

from engine.api.request import Upgrade

LOOK_S, LOOKS_A_PING = 1.0, 5
CLOSE_S = 2.0
MESSAGE_MAX = 4 << 20


async def upgrade(http: web.BaseRequest, wanted: Upgrade) -> web.StreamResponse:
    """Become a WebSocket, talk until it is over or the client has hung up, and close it."""
    end = web.WebSocketResponse(
        protocols=(wanted.protocol,), compress=False, max_msg_size=MESSAGE_MAX, timeout=CLOSE_S
    )
    try:
        await end.prepare(http)
        transport = http.transport
        if transport is None:
            return end
        talking = asyncio.ensure_future(wanted.talk(_End(end)))
        watching = asyncio.create_task(_hung_up(end, transport))
        try:
            await asyncio.wait((talking, watching), return_when=asyncio.FIRST_COMPLETED)
        finally:
            talking.cancel()
            watching.cancel()
            await asyncio.gather(talking, watching, return_exceptions=True)
        if not talking.cancelled():
            await talking
            await end.close()
    except ConnectionError:
        pass  # the client is gone, and what it had with it
    return end


async def _hung_up(end: web.WebSocketResponse, transport: asyncio.Transport) -> None:
    """Return when the other end has closed the connection: poll(2), POLLRDHUP."""
    poll, looks = select.poll(), 0
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
    while not poll.poll(0):
        await asyncio.sleep(LOOK_S)
        looks += 1
        if looks % LOOKS_A_PING == 0 and not transport.get_write_buffer_size():
            await end.ping()


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
