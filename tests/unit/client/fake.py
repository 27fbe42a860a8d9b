"""A tiny API server in memory behind the Transport protocol: a log to watch, and ways to fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from engine.client.errors import Unreachable
from engine.client.transport import Response
from engine.types.registry import RESOURCES, Resource
from engine.types.status import AlreadyExists, Gone, NotFound, StatusError


class FakeServer:
    """Satisfies engine.client.transport.Transport."""

    def __init__(self) -> None:
        self.version = 0
        self.oldest = 0
        self.down = False
        self.objects: dict[str, dict[str, Any]] = {}
        self.log: list[tuple[int, str, str, dict[str, Any]]] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.bodies: list[Any] = []
        self.closed = False
        self._streams: set[asyncio.Queue[bytes | None]] = set()
        self._changed = asyncio.Condition()
        self.watches = 0
        self.refused = 0

    async def until(self, predicate: Callable[[], bool]) -> None:
        """Wait until something that the server sees has happened."""
        async with self._changed:
            await self._changed.wait_for(predicate)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def put(self, path: str, **fields: Any) -> dict[str, Any]:
        """Create or change the object at a path."""
        old = self.objects.get(path)
        self.version += 1
        namespace, name = _names(path)
        metadata = {
            "name": name,
            "namespace": namespace,
            "uid": old["metadata"]["uid"] if old else f"uid-{self.version}",
            "resourceVersion": str(self.version),
            **fields.pop("metadata", {}),
        }
        obj = {"metadata": metadata, **fields}
        self.objects[path] = obj
        self._append("MODIFIED" if old else "ADDED", path, obj)
        return obj

    def remove(self, path: str) -> None:
        obj = self.objects.pop(path)
        self.version += 1
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
        self._append("DELETED", path, obj)

    def send(self, event: Mapping[str, Any]) -> None:
        """Put any event into every open watch."""
        for stream in self._streams:
            stream.put_nowait(json.dumps(event).encode() + b"\n")

    def compact(self) -> None:
        """Forget all history."""
        self.oldest = self.version
        self.log.clear()

    def cut(self) -> None:
        """Break every open stream."""
        for stream in self._streams:
            stream.put_nowait(None)

    def _append(self, type: str, path: str, obj: dict[str, Any]) -> None:
        self.log.append((self.version, type, path, obj))
        self.send({"type": type, "object": obj})

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
        await self._arrive(method, path, query)
        data = json.loads(body) if body else None
        self.bodies.append(data)
        try:
            answer = self._answer(method, path, data)
        except StatusError as error:
            return Response(error.code, json.dumps(error.to_status()).encode())
        return Response(200, json.dumps(answer).encode())

    def _answer(self, method: str, path: str, data: Any) -> Any:
        resource = _resource(path)
        plural = resource.plural if resource else ""
        if method == "POST":
            target = f"{path}/{data['metadata']['name']}"
            if target in self.objects:
                raise AlreadyExists(plural, data["metadata"]["name"])
            return self.put(target, **data)
        if method == "GET" and path.endswith(f"/{plural}"):
            items = [o for p, o in self.objects.items() if _within(p, path)]
            return {"metadata": {"resourceVersion": str(self.version)}, "items": items}
        if path not in self.objects:
            raise NotFound(plural, path.rpartition("/")[2])
        if method == "PATCH":
            return self.put(path, **{**self.objects[path], **data})
        if method == "DELETE":
            self.remove(path)
        return self.objects.get(path, {})

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        accept: str | None = None,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        await self._arrive(method, path, query)
        asked = int((query or {}).get("resourceVersion", "0"))
        if asked < self.oldest:
            raise Gone(asked, self.oldest)
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        for version, type, place, obj in self.log:
            if version > asked and _within(place, path):
                queue.put_nowait(json.dumps({"type": type, "object": obj}).encode() + b"\n")
        self._streams.add(queue)
        self.watches += 1
        await self._notify()

        async def chunks() -> AsyncIterator[bytes]:
            while (chunk := await queue.get()) is not None:
                # Cut in the middle, as a network may.
                yield chunk[:7]
                yield chunk[7:]
            raise Unreachable("fake", "connection lost")

        try:
            yield chunks()
        finally:
            self._streams.discard(queue)

    async def close(self) -> None:
        self.closed = True

    async def _arrive(self, method: str, path: str, query: Mapping[str, str] | None) -> None:
        if self.down:
            self.refused += 1
            await self._notify()
            raise Unreachable("fake", "connection refused")
        self.requests.append((method, path, dict(query or {})))
        await self._notify()


def _resource(path: str) -> Resource | None:
    parts = path.split("/")
    return next((r for r in RESOURCES if r.plural in parts), None)


def _names(path: str) -> tuple[str, str]:
    parts = path.split("/")
    namespace = parts[parts.index("namespaces") + 1] if "namespaces" in parts else ""
    return namespace, parts[-1]


def _within(path: str, collection: str) -> bool:
    """Whether an object lies in a collection, or in the same one of any namespace."""
    parent = path.rpartition("/")[0]
    root, _, plural = collection.rpartition("/")
    return parent == collection or (
        parent.startswith(f"{root}/namespaces/") and parent.endswith(f"/{plural}")
    )
