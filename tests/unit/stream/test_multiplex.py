"""Streams over one socket, both ends of it in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from engine.stream import spdy
from engine.stream.multiplex import Multiplexed, Stream


@dataclass
class Pipe:
    """One end; what is sent waits for the other end to take it."""

    inbox: asyncio.Queue[bytes | None]
    outbox: asyncio.Queue[bytes | None]

    async def receive(self) -> bytes | None:
        return await self.inbox.get()

    async def send(self, message: bytes) -> None:
        await self.outbox.put(message)


@dataclass
class Ends:
    client: Multiplexed
    server: Multiplexed
    begun: asyncio.Queue[Stream]
    to_client: asyncio.Queue[bytes | None]
    to_server: asyncio.Queue[bytes | None]
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def pair(self) -> tuple[Stream, Stream]:
        """A stream, seen from the client and from the server."""
        ours = await self.client.open({"streamtype": "data"})
        return ours, await self.begun.get()


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    to_client: asyncio.Queue[bytes | None] = asyncio.Queue(4)
    to_server: asyncio.Queue[bytes | None] = asyncio.Queue(4)
    begun: asyncio.Queue[Stream] = asyncio.Queue()
    made = Ends(
        Multiplexed(Pipe(to_client, to_server)),
        Multiplexed(Pipe(to_server, to_client), begun.put_nowait),
        begun,
        to_client,
        to_server,
    )
    made.tasks = [asyncio.create_task(end.run()) for end in (made.client, made.server)]
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


async def everything(stream: Stream) -> bytes:
    text = b""
    while block := await stream.read():
        text += block
    return text


async def test_each_way_ends_by_itself(ends: Ends) -> None:
    ours, theirs = await ends.pair()
    assert theirs.headers == {"streamtype": "data"}
    await ours.write(b"question")
    await ours.end()
    assert await everything(theirs) == b"question"
    await theirs.write(b"answer")
    await theirs.end()
    assert await everything(ours) == b"answer"


async def test_much_goes_both_ways_at_once(ends: Ends) -> None:
    pairs = [await ends.pair() for _ in range(3)]
    data = bytes(range(256)) * 4096

    async def say(stream: Stream) -> None:
        await stream.write(data)
        await stream.end()

    every = [stream for pair in pairs for stream in pair]
    (*_,) = told = await asyncio.gather(*map(everything, every), *map(say, every))
    assert told[: len(every)] == [data] * len(every)


async def test_who_does_not_read_stops_the_sender(ends: Ends) -> None:
    ours, theirs = await ends.pair()
    sending = asyncio.create_task(ours.write(bytes(8 << 20)))
    while not ends.to_server.full():  # noqa: ASYNC110
        await asyncio.sleep(0)
    for _ in range(1000):
        await asyncio.sleep(0)
    assert not sending.done()
    taken = 0
    while not sending.done():
        taken += len(await theirs.read())
    assert taken >= (8 << 20) - (1 << 20)


async def test_a_reset_reaches_reader_and_writer(ends: Ends) -> None:
    ours, theirs = await ends.pair()
    waiting = asyncio.create_task(ours.read())
    await theirs.reset()
    with pytest.raises(ConnectionResetError):
        await waiting
    with pytest.raises(ConnectionResetError):
        await ours.write(b"x")


async def test_pings_come_back(ends: Ends) -> None:
    await ends.to_server.put(spdy.Encoder().encode(spdy.Ping(1)))
    ours, theirs = await ends.pair()
    await theirs.write(b"x")
    assert await ours.read() == b"x"


async def test_the_end_of_the_connection_ends_every_stream(ends: Ends) -> None:
    ours, theirs = await ends.pair()
    await ends.to_client.put(None)
    with pytest.raises(ConnectionResetError):
        await ours.read()
    opening = asyncio.create_task(theirs.read())
    await ends.to_server.put(None)
    with pytest.raises(ConnectionResetError):
        await opening


async def test_a_server_is_sent_no_streams_by_clients_that_are_none(ends: Ends) -> None:
    refused = await ends.server.open({})
    with pytest.raises(ConnectionResetError):
        await refused.read()
