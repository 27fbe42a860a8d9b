"""Containers' files through the API of our own engine: no other cluster has these paths."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from engine.client.client import Client
from engine.client.http import HttpTransport
from engine.client.transport import error_of
from engine.types import codec
from engine.types.containerfiles import CommitOptions, Committed, FileChanges, Placed

TAR = "application/x-tar"


class ContainerFiles:
    """One container's. Everything raises StatusError and Unreachable."""

    def __init__(self, client: Client, namespace: str, pod: str, container: str) -> None:
        self._client = client
        self._path = f"/podarium/v1/namespaces/{namespace}/pods/{pod}/containers/{container}"

    async def changes(self) -> FileChanges:
        """What differs from the container's image."""
        return codec.decode(FileChanges, await self._client.raw("GET", f"{self._path}/changes"))

    def export(self) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The whole root filesystem, as tar."""
        return self._client.transport.stream("GET", f"{self._path}/export", accept=TAR)

    def archive(self, path: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """What lies at a path, as tar."""
        query = {"path": path}
        return self._client.transport.stream(
            "GET", f"{self._path}/archive", query=query, accept=TAR
        )

    async def place(
        self, path: str, chunks: AsyncIterator[bytes], *, keep_owner: bool = False
    ) -> Placed:
        """Put the members of a tar stream at a path."""
        transport = self._client.transport
        assert isinstance(transport, HttpTransport)
        query = {"path": path} | ({"owner": "keep"} if keep_owner else {})
        answer = await transport.send(
            "PUT", f"{self._path}/archive", chunks, content_type=TAR, query=query
        )
        if not 200 <= answer.status < 300:
            raise error_of(answer.status, answer.body)
        return codec.decode(Placed, answer.body)

    async def commit(self, options: CommitOptions) -> Committed:
        """Make an image of what the container changed."""
        body = codec.encode(options)
        return codec.decode(
            Committed, await self._client.raw("POST", f"{self._path}/commit", body=body)
        )
