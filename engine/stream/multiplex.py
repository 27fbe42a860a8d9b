"""Many streams over one socket, in SPDY frames: what port-forward is made of.

Each stream holds a bounded amount that has not been read; when one is full the whole connection
waits, as SPDY's windows are not used by Kubernetes (github.com/moby/spdystream ignores them).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from engine.stream import spdy
from engine.stream.socket import Socket

_UNREAD_MAX = 256 * 1024
_PIECE = 32 * 1024
_STREAMS_MAX = 2048


class Stream:
    """One of them. It has ended when both ends have said that they are done."""

    def __init__(self, connection: Multiplexed, id: int, headers: spdy.Headers) -> None:
        self.id = id
        self.headers = headers
        self.accepted = asyncio.Event()
        self._connection = connection
        self._unread: deque[bytes] = deque()
        self._size = 0
        self._changed = asyncio.Event()
        self._finished = self._ended = self._broken = False

    async def read(self) -> bytes:
        """Some bytes; b"" at the end. Raise ConnectionResetError."""
        while not self._unread:
            if self._broken:
                raise ConnectionResetError("the stream was reset")
            if self._finished:
                return b""
            await self._wait()
        data = self._unread.popleft()
        self._size -= len(data)
        self._changed.set()
        return data

    async def write(self, data: bytes) -> None:
        """Raise ConnectionResetError."""
        for begin in range(0, len(data), _PIECE):
            await self._send(spdy.Data(self.id, data[begin : begin + _PIECE]))

    async def end(self) -> None:
        """We are done; fine when it has ended."""
        if not (self._ended or self._broken):
            await self._send(spdy.Data(self.id, fin=True))
            self._ended = True
            self._forget()

    def said_all(self) -> None:
        """That we are done was said with its beginning."""
        self._ended = True

    async def reset(self, status: int = spdy.CANCEL) -> None:
        """End it in both directions, without more."""
        if not (self._broken or (self._ended and self._finished)):
            await self._send(spdy.Reset(self.id, status))
            self.break_off()

    async def _send(self, frame: spdy.Frame) -> None:
        if self._broken:
            raise ConnectionResetError("the stream was reset")
        await self._connection.send(frame)

    async def put(self, data: bytes, fin: bool) -> None:
        """What came for it, in its order; wait for room."""
        while self._size >= _UNREAD_MAX and not self._broken:
            await self._wait()
        if self._broken:
            return
        if data:
            self._unread.append(data)
            self._size += len(data)
        self._finished = self._finished or fin
        self._changed.set()
        self._forget()

    def break_off(self) -> None:
        """It is gone."""
        self._broken = True
        self.accepted.set()
        self._changed.set()
        self._forget()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _forget(self) -> None:
        if self._broken or (self._ended and self._finished):
            self._connection.forget(self)


class Multiplexed:
    """A connection. `run` is what reads from it, and must be running for anything to happen."""

    def __init__(self, socket: Socket, on_stream: Callable[[Stream], None] | None = None) -> None:
        """`on_stream` gets what the other end begins, a server's; without it we are the client."""
        self._socket = socket
        self._on_stream = on_stream
        self._next = 2 if on_stream else 1
        self._streams: dict[int, Stream] = {}
        self._encoder = spdy.Encoder()
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Until the other end has gone. Raise ProtocolError."""
        decoder = spdy.Decoder()
        try:
            while (message := await self._socket.receive()) is not None:
                for frame in decoder.feed(message):
                    await self._handle(frame)
        finally:
            for stream in list(self._streams.values()):
                stream.break_off()

    async def open(self, headers: spdy.Headers, *, fin: bool = False) -> Stream:
        """Begin a stream, and wait until it is accepted. Raise ConnectionError."""
        stream = Stream(self, self._next, headers)
        self._next += 2
        self._streams[stream.id] = stream
        await self.send(spdy.SynStream(stream.id, headers, fin))
        if fin:
            stream.said_all()
        await stream.accepted.wait()
        return stream

    async def send(self, frame: spdy.Frame) -> None:
        """Raise ConnectionError."""
        async with self._turn:
            await self._socket.send(self._encoder.encode(frame))

    def forget(self, stream: Stream) -> None:
        self._streams.pop(stream.id, None)

    async def _handle(self, frame: spdy.Frame) -> None:
        match frame:
            case spdy.SynStream():
                await self._begin(frame)
            case spdy.Ping(id) if id % 2 == (1 if self._on_stream else 0):
                await self.send(frame)
            case spdy.Data(id, data, fin) if id in self._streams:
                await self._streams[id].put(data, fin)
            case spdy.SynReply(id, _, fin) | spdy.MoreHeaders(id, _, fin) if id in self._streams:
                stream = self._streams[id]
                stream.accepted.set()
                if fin:
                    await stream.put(b"", True)
            case spdy.Reset(id) if id in self._streams:
                self._streams[id].break_off()

    async def _begin(self, frame: spdy.SynStream) -> None:
        if self._on_stream is None or len(self._streams) >= _STREAMS_MAX:
            await self.send(spdy.Reset(frame.stream, spdy.REFUSED_STREAM))
            return
        if frame.stream in self._streams:
            await self._streams[frame.stream].reset(spdy.PROTOCOL_ERROR)
            return
        stream = self._streams[frame.stream] = Stream(self, frame.stream, frame.headers)
        stream.accepted.set()
        await self.send(spdy.SynReply(stream.id))
        if frame.fin:
            await stream.put(b"", True)
        self._on_stream(stream)
