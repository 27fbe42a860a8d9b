"""A request and its answer, without any transport: what the API core takes and gives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.stream.socket import Socket
from engine.types.codec import encode
from engine.types.status import BadRequest, StatusError

JSON = "application/json"
TAR = "application/x-tar"


@dataclass(slots=True)
class Request:
    """`path` is decoded and without a query; header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    repeated: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """All values of the parameters that are given more than once."""
    protocols: Sequence[str] | None = None
    """What the client offers to speak over a WebSocket; None when it does not ask for one."""
    stream: AsyncIterator[bytes] | None = None
    """A body of type TAR, which has no limit, as it comes; then `body` is empty."""
    warnings: list[str] = field(default_factory=list)
    """Told to the client in Warning headers, whether the request succeeds or not."""

    def flag(self, name: str) -> bool:
        """A boolean parameter; present without a value counts as true. Raise BadRequest."""
        value = self.query.get(name)
        if value is None:
            return False
        if value.lower() in ("", "true", "1", "t"):
            return True
        if value.lower() in ("false", "0", "f"):
            return False
        raise BadRequest(f'invalid value for "{name}": {value!r} is neither true nor false')

    def number(self, name: str) -> int | None:
        """An integer parameter. Raise BadRequest."""
        value = self.query.get(name)
        if not value:
            return None
        try:
            return int(value)
        except ValueError:
            raise BadRequest(f'invalid value for "{name}": {value!r} is not a number') from None

    def values(self, name: str) -> list[str]:
        """A parameter that may be given more than once."""
        if name in self.repeated:
            return list(self.repeated[name])
        return [self.query[name]] if name in self.query else []

    @property
    def dry_run(self) -> bool:
        """Whether nothing may be stored. Raise BadRequest."""
        value = self.query.get("dryRun")
        if value not in (None, "", "All"):
            raise BadRequest(f'invalid value for "dryRun": {value!r}: supported values: "All"')
        return value == "All"


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A WebSocket that speaks `protocol`: `talk` is called with it, and returns when it is over."""

    protocol: str
    talk: Callable[[Socket], Awaitable[None]]


@dataclass(slots=True)
class Response:
    """An answer; an iterator as its body is a stream that goes on until it ends or is closed.

    With `upgrade` it is the connection itself that goes on, in another protocol (status 101).
    """

    status: int
    body: bytes | AsyncIterator[bytes]
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    upgrade: Upgrade | None = None

    @classmethod
    def of(cls, data: Any, status: int = 200) -> Response:
        """JSON of a declared object or of plain data."""
        return cls(status, encode(data))

    @classmethod
    def failure(cls, error: StatusError) -> Response:
        response = cls(error.code, encode(error.to_status()))
        if "retryAfterSeconds" in error.details:
            response.headers["Retry-After"] = str(error.details["retryAfterSeconds"])
        return response
