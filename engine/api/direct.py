"""The client's transport for parts that live in the API's own process: no socket between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from engine.api.handler import Api
from engine.api.request import Request
from engine.client.transport import Response, error_of


class DirectTransport:
    """Calls the API as a function."""

    def __init__(self, api: Api) -> None:
        self._api = api

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
        """The whole answer, whatever its status."""
        request = _request(method, path, query, body, content_type, accept)
        response = await self._api.handle(request)
        headers = {name.lower(): value for name, value in response.headers.items()}
        headers["content-type"] = response.content_type
        if isinstance(response.body, bytes):
            return Response(response.status, response.body, headers)
        chunks = [chunk async for chunk in response.body]
        return Response(response.status, b"".join(chunks), headers)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        accept: str | None = None,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Raise StatusError when the answer is not 2xx; leaving the context ends the stream."""
        response = await self._api.handle(_request(method, path, query, None, None, accept))
        body = response.body
        if isinstance(body, bytes):
            if not 200 <= response.status < 300:
                raise error_of(response.status, body)
            yield _once(body)
            return
        try:
            yield body
        finally:
            close = getattr(body, "aclose", None)
            if close is not None:
                await close()

    async def close(self) -> None:
        """Nothing is held open."""


def _request(
    method: str,
    path: str,
    query: Mapping[str, str] | None,
    body: bytes | None,
    content_type: str | None,
    accept: str | None,
) -> Request:
    headers = {"content-type": content_type, "accept": accept}
    return Request(
        method,
        path,
        query or {},
        {name: value for name, value in headers.items() if value},
        body or b"",
    )


async def _once(body: bytes) -> AsyncIterator[bytes]:
    if body:
        yield body
