"""One end of the wire: requests that await their replies, and events.

What is in flight when the other end goes fails with KeeperLost.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

from engine.runtime import wire
from engine.runtime.errors import KeeperLost, failed

Reply = asyncio.Future[tuple[Any, list[int]]]


class Connection:
    """A seqpacket socket to a keeper, on the running event loop."""

    def __init__(
        self,
        sock: socket.socket,
        on_event: Callable[[str, list[Any], list[int]], None],
        on_lost: Callable[[], None],
    ) -> None:
        """`on_event` gets a name, facts, and descriptors, which become its own; `on_lost` is not
        called for an end that we make ourselves."""
        self._sock = sock
        self._on_event = on_event
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._replies: dict[int, tuple[str, str, Reply]] = {}
        self._waiting: list[wire.Packet] = []
        self._loop.add_reader(sock.fileno(), self._read)

    @property
    def closed(self) -> bool:
        return self._sock.fileno() < 0

    def close(self) -> None:
        if self.closed:
            return
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        while self._waiting:
            self._waiting.pop().close()
        for _, _, reply in self._replies.values():
            if not reply.done():
                reply.set_exception(KeeperLost("the connection to the keeper is closed"))

    def number(self) -> int:
        """For a request that is to be known by it."""
        self._number += 1
        return self._number

    async def ask(
        self,
        verb: str,
        about: str,
        *arguments: object,
        fds: tuple[int, ...] = (),
        number: int | None = None,
    ) -> Any:
        """The result. Raise what failed() makes of a failure; `about` is for its text."""
        result, passed = await self.exchange(verb, about, *arguments, fds=fds, number=number)
        assert not passed
        return result

    async def exchange(
        self,
        verb: str,
        about: str,
        *arguments: object,
        fds: tuple[int, ...] = (),
        number: int | None = None,
    ) -> tuple[Any, list[int]]:
        """The result, and descriptors that came with it."""
        if self.closed:
            raise KeeperLost("the connection to the keeper is closed")
        number = self.number() if number is None else number
        reply: Reply = self._loop.create_future()
        self._replies[number] = (verb, about, reply)
        self._send((number, verb, *arguments), fds)
        try:
            return await reply
        finally:
            self._replies.pop(number, None)

    def tell(self, verb: str, *arguments: object) -> None:
        """Ask without waiting for the answer."""
        if not self.closed:
            self._send((self.number(), verb, *arguments))

    def _send(self, message: tuple[object, ...], fds: tuple[int, ...] = ()) -> None:
        self._waiting.append(wire.Packet(message, fds))
        self._flush()

    def _flush(self) -> None:
        try:
            while self._waiting:
                self._waiting[0].send(self._sock)
                del self._waiting[0]
        except BlockingIOError:
            self._loop.add_writer(self._sock.fileno(), self._flush)
        except OSError:
            self._lose()
        else:
            self._loop.remove_writer(self._sock.fileno())

    def _read(self) -> None:
        while not self.closed:
            try:
                received = wire.receive(self._sock)
            except BlockingIOError:
                return
            except OSError:
                received = None
            if received is None:
                self._lose()
                return
            (number, *facts), fds = received
            if number:
                self._replied(number, facts, fds)
            else:
                name, *details = facts
                self._on_event(name, details, fds)

    def _replied(self, number: int, facts: list[Any], fds: list[int]) -> None:
        succeeded, result = facts
        verb, about, reply = self._replies.pop(number, ("", "", None))
        if reply is None or reply.done():
            # Nobody waits any more.
            for fd in fds:
                os.close(fd)
        elif succeeded:
            reply.set_result((result, fds))
        else:
            reply.set_exception(failed(verb, about, result))

    def _lose(self) -> None:
        self.close()
        self._on_lost()
