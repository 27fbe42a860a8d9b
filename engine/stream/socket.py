"""A two-way connection of whole messages, as a WebSocket is (RFC 6455)."""

from typing import Protocol


class ProtocolError(ValueError):
    """The other end does not keep to the protocol; the message says how."""


class Socket(Protocol):
    """One end. Sending waits while the other end is slow, so nothing piles up."""

    async def receive(self) -> bytes | None:
        """The next message; None when there will be no more."""
        ...

    async def send(self, message: bytes) -> None:
        """Raise ConnectionError when the other end is gone."""
        ...
