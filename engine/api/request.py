"""A request and its answer, without any transport: what the API core takes and gives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.types.codec import encode
from engine.types.status import BadRequest, StatusError

JSON = "application/json"


@dataclass(slots=True)
class Request:
    """`path` is decoded and without a query; header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
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

    @property
    def dry_run(self) -> bool:
        """Whether nothing may be stored. Raise BadRequest."""
        value = self.query.get("dryRun")
        if value not in (None, "", "All"):
            raise BadRequest(f'invalid value for "dryRun": {value!r}: supported values: "All"')
        return value == "All"


@dataclass(slots=True)
class Response:
    """An answer; an iterator as its body is a stream that goes on until it ends or is closed."""

    status: int
    body: bytes | AsyncIterator[bytes]
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)

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
