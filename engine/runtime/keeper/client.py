"""One engine's connection to the keeper, and its requests."""

from __future__ import annotations

import os
import socket
from collections import deque

from engine.runtime import wire
from engine.runtime.keeper.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from engine.runtime.keeper.estate import Exec


class Client:
    """Sending never blocks: what does not fit now waits in line."""

    def __init__(
        self,
        sock: socket.socket,
        loop: Loop,
        on_request: Callable[[Request], None],
        on_close: Callable[[Client], None],
    ) -> None:
        self.execs: dict[int, Exec] = {}
        self.closed = False
        self._listening = True
        self._sock = sock
        self._loop = loop
        self._on_request = on_request
        self._on_close = on_close
        self._waiting: deque[wire.Packet] = deque()
        sock.setblocking(False)
        loop.add(sock.fileno(), self._ready)

    def fileno(self) -> int:
        return self._sock.fileno()

    def listen(self, listening: bool) -> None:
        """Whether to take requests; those that come meanwhile wait in the socket."""
        self._listening = listening
        if not self.closed:
            self._flush()

    def unsent(self) -> list[tuple[bytes, list[int]]]:
        """What waits in line: Packet.kept() of each."""
        return [packet.kept() for packet in self._waiting]

    def resend(self, unsent: list[tuple[bytes, list[int]]]) -> None:
        """What another keeper had in line for it; the descriptors become ours."""
        self._waiting.extend(wire.Packet.adopted(*kept) for kept in unsent)
        self._flush()

    def send(self, *message: object, fds: tuple[int, ...] = ()) -> None:
        """Do nothing once the connection is closed."""
        if not self.closed:
            self._waiting.append(wire.Packet(message, fds))
            self._flush()

    def _flush(self) -> None:
        try:
            while self._waiting:
                self._waiting[0].send(self._sock)
                self._waiting.popleft()
        except BlockingIOError:
            self._watch(writable=True)
        except OSError:
            self.close()
        else:
            self._watch(writable=False)

    def _watch(self, *, writable: bool) -> None:
        fd = self._sock.fileno()
        self._loop.add(fd, self._ready, readable=self._listening, writable=writable)

    def _ready(self) -> None:
        if self._waiting:
            self._flush()
        while self._listening and not self.closed:
            try:
                received = wire.receive(self._sock)
            except BlockingIOError:
                return
            except OSError:
                received = None
            if received is None:
                self.close()
                return
            (number, verb, *arguments), fds = received
            try:
                self._on_request(Request(self, number, verb, arguments, fds))
            finally:
                for fd in fds:
                    os.close(fd)

    def close(self) -> None:
        """Ours, and the execs that it began: nobody is left to read them or to end them in time."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove(self._sock.fileno())
        self._sock.close()
        for packet in self._waiting:
            packet.close()
        for exec in self.execs.values():
            exec.client = None
            exec.running.kill_session()
        self._on_close(self)


class Request:
    """`fds` are closed when the verb returns."""

    __slots__ = ("arguments", "client", "fds", "number", "verb")

    def __init__(
        self, client: Client, number: int, verb: str, arguments: list[Any], fds: list[int]
    ) -> None:
        self.client = client
        self.number = number
        self.verb = verb
        self.arguments = arguments
        self.fds = fds

    def reply(self, result: object, fds: tuple[int, ...] = ()) -> None:
        self.client.send(self.number, True, result, fds=fds)

    def fail(self, *failure: object) -> None:
        self.client.send(self.number, False, failure)
