"""Exec, attach and port-forward as the API serves them, with made-up nodes and clients."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.api.request import Request, Response
from engine.api.stream.forward import forward
from engine.api.stream.session import Wanted, converse
from engine.stream import channel
from engine.stream.channel import V4, V5, Channel
from engine.stream.multiplex import Multiplexed, Stream
from engine.types.status import NotFound, ServiceUnavailable
from tests.unit.api.world import POD, World, pod

ALL = Wanted(stdin=True, stdout=True, stderr=True, tty=False)


class Said:
    """An output that a test fills."""

    def __init__(self) -> None:
        self.blocks: asyncio.Queue[bytes] = asyncio.Queue()
        self.reads = 0

    async def read(self) -> bytes:
        self.reads += 1
        return await self.blocks.get()


@dataclass
class Process:
    """A session that notes what it is told."""

    code: int | None = 0
    outputs: dict[str, Said] = field(
        default_factory=lambda: {n: Said() for n in ("stdout", "stderr")}
    )
    told: list[Any] = field(default_factory=list)
    taking: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False

    async def write(self, data: bytes) -> None:
        await self.taking.wait()
        self.told.append(data)

    def end_input(self) -> None:
        self.told.append("end")

    def resize(self, columns: int, rows: int) -> None:
        self.told.append((columns, rows))

    async def wait(self) -> int | None:
        return self.code

    def close(self) -> None:
        self.closed = True

    def say(self, name: str, *blocks: bytes) -> None:
        for block in blocks:
            self.outputs[name].blocks.put_nowait(block)

    def end(self) -> None:
        for said in self.outputs.values():
            said.blocks.put_nowait(b"")


@dataclass
class Client:
    """The other end of the socket. It takes a message when `room` says so."""

    inbox: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    got: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    room: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self) -> bytes | None:
        return await self.inbox.get()

    async def send(self, message: bytes) -> None:
        await self.room.wait()
        self.got.put_nowait(message)

    def says(self, name: Channel, data: bytes = b"") -> None:
        self.inbox.put_nowait(channel.frame(name, data))

    async def hears(self) -> tuple[Channel, bytes]:
        return channel.parse(await self.got.get())


def talking(client: Client, process: Process, wanted: Wanted = ALL, **more: Any) -> Any:
    async def begin() -> Process:
        return process

    return asyncio.create_task(converse(client, begin, wanted, **more))


@pytest.fixture
def client() -> Client:
    made = Client()
    made.room.set()
    return made


async def test_a_conversation(client: Client) -> None:
    process = Process(code=3)
    process.taking.set()
    task = talking(client, process)
    client.says(Channel.STDIN, b"question")
    client.says(Channel.RESIZE, channel.size(80, 24))
    client.says(Channel.CLOSE, bytes([Channel.STDIN]))
    process.say("stderr", b"hm")
    assert await client.hears() == (Channel.STDERR, b"hm")
    process.say("stdout", b"answer")
    assert await client.hears() == (Channel.STDOUT, b"answer")
    process.end()
    name, data = await client.hears()
    assert (name, channel.read_outcome(data)) == (Channel.STATUS, 3)
    await task
    assert process.told == [b"question", (80, 24), "end"]
    assert process.closed


async def test_only_what_is_wanted_is_sent_and_taken(client: Client) -> None:
    process = Process()
    process.taking.set()
    task = talking(client, process, Wanted(stdin=False, stdout=True, stderr=False, tty=True))
    client.says(Channel.STDIN, b"unasked")
    process.say("stderr", b"unasked")
    process.say("stdout", b"asked")
    process.end()
    assert await client.hears() == (Channel.STDOUT, b"asked")
    assert (await client.hears())[0] is Channel.STATUS
    await task
    assert process.told == []


async def test_a_client_that_goes_ends_the_process(client: Client) -> None:
    process = Process()
    task = talking(client, process)
    client.inbox.put_nowait(None)
    await task
    assert process.closed


async def test_a_client_that_breaks_off_ends_the_process() -> None:
    class Broken(Client):
        async def send(self, message: bytes) -> None:
            raise ConnectionResetError

    process = Process()
    task = talking(Broken(), process)
    process.say("stdout", b"x")
    await task
    assert process.closed


async def test_a_cancelled_conversation_ends_the_process(client: Client) -> None:
    process = Process()
    task = talking(client, process)
    process.say("stdout", b"x")
    await client.hears()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert process.closed


async def test_a_slow_client_is_not_read_for() -> None:
    client, process = Client(), Process()
    task = talking(client, process)
    process.say("stdout", *[bytes(65536)] * 50)
    for _ in range(100):
        await asyncio.sleep(0)
    assert process.outputs["stdout"].reads == 1
    client.room.set()
    process.end()
    for _ in range(50):
        assert (await client.hears())[0] is Channel.STDOUT
    await client.hears()
    await task


async def test_a_slow_process_is_not_received_for(client: Client) -> None:
    process = Process()
    task = talking(client, process)
    for number in range(50):
        client.says(Channel.STDIN, b"%d" % number)
    for _ in range(100):
        await asyncio.sleep(0)
    assert client.inbox.qsize() == 49
    process.taking.set()
    process.end()
    await task


async def test_a_client_that_takes_nothing_is_let_go_of() -> None:
    client, process = Client(), Process()
    task = talking(client, process, patience_s=0.01)
    process.say("stdout", b"x")
    await task
    assert process.closed


async def test_nonsense_is_answered(client: Client) -> None:
    process = Process()
    task = talking(client, process)
    client.inbox.put_nowait(b"\x09what")
    name, data = await client.hears()
    assert name is Channel.STATUS
    assert "there is no channel 9" in json.loads(data)["message"]
    await task
    assert process.closed


async def test_what_cannot_begin_is_told(client: Client) -> None:
    async def begin() -> Process:
        raise NotFound("pods", "p")

    await converse(client, begin, ALL)
    name, data = await client.hears()
    assert (name, json.loads(data)["reason"]) == (Channel.STATUS, "NotFound")


# Which requests become conversations


class Node:
    """Remembers what is executed."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def exec(self, pod: Any, container: str, command: Any, **how: bool) -> Process:
        self.asked.append((pod.metadata.name, container, command, how))
        process = Process()
        process.end()
        return process


@pytest.fixture
async def bound(world: World) -> World:
    world.api.gateway = Node()  # type: ignore[assignment]
    await world.ask("POST", POD, pod("p", nodeName="n1"))
    await world.ask("POST", POD, pod("waiting"))
    return world


async def opened(world: World, path: str, method: str = "GET", **fields: Any) -> Response:
    request = Request(method, f"{POD}/{path}", protocols=[V4, V5], **fields)
    return await world.api.handle(request)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_exec(bound: World, method: str, client: Client) -> None:
    query = {"command": "ls", "stdout": "true", "stdin": "1"}
    repeated = {"command": ["ls", "-l", "a b"]}
    answer = await opened(bound, "p/exec", method, query=query, repeated=repeated)
    assert answer.status == 101
    assert answer.upgrade is not None
    assert answer.upgrade.protocol == V5
    await answer.upgrade.talk(client)
    node: Any = bound.api.gateway
    how = {"terminal": False, "stdin": True}
    assert node.asked == [("p", "c", ["ls", "-l", "a b"], how)]


OUT = {"stdout": "true"}


@pytest.mark.parametrize(
    ("path", "query", "says"),
    [
        ("nobody/exec", OUT, 'pods "nobody" not found'),
        ("p/exec", {"command": "ls"}, "at least 1 of stdin, stdout, stderr"),
        ("p/exec", OUT, "at least one command"),
        ("p/exec", {**OUT, "command": "ls", "stderr": "true", "tty": "true"}, "both be true"),
        ("p/exec", {**OUT, "command": "ls", "container": "x"}, "container x is not valid"),
        ("waiting/exec", {**OUT, "command": "ls"}, "does not have a host assigned"),
        ("waiting/attach", OUT, "does not have a host assigned"),
        ("waiting/portforward", {}, "does not have a host assigned"),
        ("p/portforward", {}, "v4.channel.k8s.io, v5.channel.k8s.io offered"),
    ],
)
async def test_what_is_refused(bound: World, path: str, query: dict[str, str], says: str) -> None:
    answer = await opened(bound, path, query=query)
    assert isinstance(answer.body, bytes)
    assert answer.status in (400, 404)
    assert says in json.loads(answer.body)["message"]


async def test_without_a_websocket(bound: World) -> None:
    status = await bound.refused("POST", f"{POD}/p/exec", command="ls", stdout="true")
    assert "Upgrade request required" in status["message"]
    assert (await bound.refused("DELETE", f"{POD}/p/exec"))["code"] == 405


# Port-forward


class Wire:
    """A socket in memory."""

    def __init__(self, inbox: Any, outbox: Any) -> None:
        self._inbox, self._outbox = inbox, outbox

    async def receive(self) -> bytes | None:
        found: bytes | None = await self._inbox.get()
        return found

    async def send(self, message: bytes) -> None:
        await self._outbox.put(message)


@dataclass
class Tunnel:
    client: Multiplexed
    dialled: list[int]
    pods: asyncio.Queue[sockets.socket]

    async def connect(self, port: int, **headers: str) -> tuple[Stream, Stream]:
        headers["port"] = str(port)
        error = await self.client.open({**headers, "streamtype": "error"}, fin=True)
        return error, await self.client.open({**headers, "streamtype": "data"})


@pytest.fixture
async def tunnel() -> AsyncIterator[Tunnel]:
    up: asyncio.Queue[bytes | None] = asyncio.Queue(8)
    down: asyncio.Queue[bytes | None] = asyncio.Queue(8)
    made = Tunnel(Multiplexed(Wire(down, up)), [], asyncio.Queue())

    async def dial(port: int) -> sockets.socket:
        made.dialled.append(port)
        if port == 1:
            raise ServiceUnavailable("connection refused")
        ours, theirs = sockets.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        made.pods.put_nowait(theirs)
        return ours

    serving = asyncio.create_task(forward(Wire(up, down), dial))
    running = asyncio.create_task(made.client.run())
    yield made
    await up.put(None)
    await serving
    running.cancel()
    while not made.pods.empty():
        made.pods.get_nowait().close()


async def test_a_connection_there_and_back(tunnel: Tunnel) -> None:
    loop = asyncio.get_running_loop()
    error, data = await tunnel.connect(80, requestid="7")
    theirs = await tunnel.pods.get()
    await data.write(b"GET")
    assert await loop.sock_recv(theirs, 10) == b"GET"
    await data.end()
    assert await loop.sock_recv(theirs, 10) == b""
    await loop.sock_sendall(theirs, b"page")
    theirs.close()
    assert await data.read() == b"page"
    assert await data.read() == b""
    assert await error.read() == b""
    assert tunnel.dialled == [80]


async def test_a_port_that_refuses_is_said_on_the_error_stream(tunnel: Tunnel) -> None:
    error, data = await tunnel.connect(1)
    assert await error.read() == b"connection refused"
    assert await error.read() == b""
    assert await data.read() == b""
    await tunnel.connect(80)
    assert tunnel.dialled == [1, 80]


async def test_streams_that_mean_nothing_are_reset(tunnel: Tunnel) -> None:
    for headers in ({"streamtype": "data", "port": "0"}, {"streamtype": "x", "port": "80"}):
        stream = await tunnel.client.open(headers)
        with pytest.raises(ConnectionResetError):
            await stream.read()
    assert tunnel.dialled == []
