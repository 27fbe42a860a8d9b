"""How a client's requests reach an API server: in process, over a unix socket, or over TLS.

A transport moves bytes and knows nothing of kinds. A request's answer is returned whatever its
status; a stream that is refused raises.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from engine.stream.socket import Socket
from engine.types.status import StatusError, from_status


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. Header names are in lower case."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Transport(Protocol):
    """A way to an API server."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str | None = None,
        accept: str | None = None,
    ) -> Response:
        """Ask and wait for the whole answer. Raise Unreachable; never for an answer's status."""
        ...

    def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        accept: str | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Ask, and once inside the context, read the answer in chunks of any size as they come.

        Entering raises StatusError when the answer is not 2xx, and Unreachable; reading raises
        Unreachable when the connection breaks. Leaving the context ends the stream.
        """
        ...

    async def close(self) -> None:
        """Close all connections; who reads a stream gets Unreachable."""
        ...


class Dialer(Protocol):
    """A way to an API server on which a request can become a two-way connection."""

    def socket(
        self, path: str, *, query: Sequence[tuple[str, str]], protocols: Sequence[str]
    ) -> AbstractAsyncContextManager[tuple[Socket, str]]:
        """A WebSocket, and which of the protocols it speaks; leaving the context closes it.

        Entering raises StatusError when the server refuses, and Unreachable.
        """
        ...


def error_of(status: int, body: bytes) -> StatusError:
    """The exception that an answer outside 2xx stands for."""
    try:
        data: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        data = None
    if isinstance(data, dict) and data.get("kind") == "Status":
        return from_status({"code": status, **data})
    text = body[:300].decode(errors="replace").strip()
    return from_status({"code": status, "message": text or f"the server answered {status}"})


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Lines without their newline, from chunks cut anywhere. Empty lines are kept."""
    pending: list[bytes] = []
    async for chunk in chunks:
        head, *rest = chunk.split(b"\n")
        pending.append(head)
        for line in rest:
            yield b"".join(pending)
            pending = [line]
    if last := b"".join(pending):
        yield last
