"""The typed client of an API server, the same for Podarium's own and for any Kubernetes cluster.

Verbs take a declared kind (a class of engine.types) and give objects of it. They raise
engine.types.status.StatusError when the server refuses, Unreachable when it cannot be asked, and
msgspec.ValidationError when an answer does not fit the declared kind.

An object read as a declared kind holds only declared fields: `update` is for kinds that are
declared whole; `patch` changes the named fields and leaves all others alone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from engine.client.transport import Transport, error_of, lines
from engine.types import codec
from engine.types.core import Binding, ObjectReference, Pod
from engine.types.meta import ListMeta, Object
from engine.types.registry import resource_for
from engine.types.status import from_status

T = TypeVar("T", bound=Object)

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A list, and the version at which it is true: a watch from there misses nothing."""

    items: list[T]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent(Generic[T]):
    """A change. `type` is ADDED, MODIFIED, DELETED, or BOOKMARK, whose object has only a
    metadata.resourceVersion."""

    type: str
    object: T


class _List(msgspec.Struct, Generic[T]):
    items: list[T] | None = None
    metadata: ListMeta = msgspec.field(default_factory=ListMeta)


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class Client:
    """Verbs over a transport. `namespace` is meant where a namespaced object is named without
    one."""

    def __init__(self, transport: Transport, namespace: str = "default") -> None:
        self.transport = transport
        self.namespace = namespace

    async def close(self) -> None:
        """Close the transport."""
        await self.transport.close()

    async def get(self, cls: type[T], name: str, namespace: str | None = None) -> T:
        """Read one object. Raise NotFound."""
        return codec.decode(cls, await self.raw("GET", self._path(cls, name, namespace)))

    async def get_raw(
        self, cls: type[Object], name: str, namespace: str | None = None
    ) -> dict[str, Any]:
        """Read one object with all its fields, as plain data."""
        body = await self.raw("GET", self._path(cls, name, namespace))
        data: dict[str, Any] = msgspec.json.decode(body)
        return data

    async def list(
        self, cls: type[T], namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> Listing[T]:
        """Read all objects of a namespace, or of all; `labels` and `fields` are selectors as
        text."""
        path = resource_for(cls).path(namespace)
        body = await self.raw("GET", path, query=_selectors(labels, fields))
        found: _List[T] = codec.decode(_List[cls], body)  # type: ignore[valid-type]
        return Listing(found.items or [], found.metadata.resource_version)

    async def watch(
        self,
        cls: type[T],
        namespace: str | None = None,
        *,
        resource_version: str,
        labels: str = "",
        fields: str = "",
        timeout_seconds: int | None = None,
    ) -> AsyncIterator[WatchEvent[T]]:
        """Changes after `resource_version` until the server ends the stream, after `timeout`
        seconds at the latest. Raise Gone when that version is no longer known: list again."""
        async with self.watching(
            cls,
            namespace,
            resource_version=resource_version,
            labels=labels,
            fields=fields,
            timeout_seconds=timeout_seconds,
        ) as events:
            async for event in events:
                yield event

    @asynccontextmanager
    async def watching(
        self,
        cls: type[T],
        namespace: str | None = None,
        *,
        resource_version: str,
        labels: str = "",
        fields: str = "",
        timeout_seconds: int | None = None,
    ) -> AsyncIterator[AsyncIterator[WatchEvent[T]]]:
        """As `watch`; inside the context the server has accepted the watch."""
        query = _selectors(labels, fields)
        query |= {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
        }
        if timeout_seconds is not None:
            query["timeoutSeconds"] = str(timeout_seconds)
        path = resource_for(cls).path(namespace)
        async with self.transport.stream("GET", path, query=query, accept=JSON) as chunks:
            async with aclosing(_events(cls, chunks)) as events:
                yield events

    async def create(self, obj: T) -> T:
        """Create an object; the answer carries what the server filled in. Raise AlreadyExists."""
        path = resource_for(type(obj)).path(self._namespace(obj))
        return codec.decode(type(obj), await self.raw("POST", path, body=codec.encode(obj)))

    async def create_raw(
        self, cls: type[T], data: Mapping[str, Any], namespace: str | None = None
    ) -> T:
        """Create an object from plain data, which may hold fields that are not declared."""
        path = resource_for(cls).path(namespace or self.namespace)
        return codec.decode(cls, await self.raw("POST", path, body=codec.encode(data)))

    async def update(self, obj: T) -> T:
        """Replace an object (all but its status). Raise Conflict when its resourceVersion is
        old."""
        return await self._put(obj, "")

    async def update_status(self, obj: T) -> T:
        """Replace an object's status and nothing else. Raise Conflict."""
        return await self._put(obj, "status")

    async def patch(
        self,
        cls: type[T],
        name: str,
        namespace: str | None,
        patch: Mapping[str, Any],
        *,
        subresource: str = "",
    ) -> T:
        """Apply a JSON merge patch (RFC 7386): objects merge, lists are replaced, None removes."""
        path = self._path(cls, name, namespace, subresource)
        body = await self.raw("PATCH", path, body=codec.encode(patch), content_type=MERGE_PATCH)
        return codec.decode(cls, body)

    async def delete(
        self,
        cls: type[Object],
        name: str,
        namespace: str | None = None,
        *,
        grace_period: int | None = None,
        propagation: str = "Background",
        uid: str | None = None,
    ) -> None:
        """Delete an object; `grace_period` in seconds. Raise NotFound, and Conflict when it is not
        the one with `uid` any more."""
        options: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
        }
        if grace_period is not None:
            options["gracePeriodSeconds"] = grace_period
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        await self.raw("DELETE", self._path(cls, name, namespace), body=codec.encode(options))

    async def bind(self, namespace: str, pod: str, node: str) -> None:
        """Give a pod to a node. Raise Conflict when it has one."""
        binding = Binding(target=ObjectReference(kind="Node", name=node, api_version="v1"))
        binding.metadata.name, binding.metadata.namespace = pod, namespace
        path = resource_for(Pod).path(namespace, pod, "binding")
        await self.raw("POST", path, body=codec.encode(binding))

    async def logs(
        self,
        namespace: str,
        pod: str,
        container: str = "",
        *,
        follow: bool = False,
        tail: int | None = None,
        previous: bool = False,
        timestamps: bool = False,
        since: int | None = None,
    ) -> AsyncIterator[bytes]:
        """Lines of a container's log; the last `tail` of them, or those of the last `since`
        seconds; `previous` is the log of its previous life."""
        query = {"container": container} if container else {}
        query |= {
            name: "true"
            for name, wanted in (
                ("follow", follow),
                ("previous", previous),
                ("timestamps", timestamps),
            )
            if wanted
        }
        if tail is not None:
            query["tailLines"] = str(tail)
        if since is not None:
            query["sinceSeconds"] = str(since)
        path = resource_for(Pod).path(namespace, pod, "log")
        async with aclosing(self._lines(path, query, "*/*")) as found:
            async for line in found:
                yield line

    async def stream_lines(
        self, path: str, query: Mapping[str, str] | None = None, *, method: str = "GET"
    ) -> AsyncIterator[bytes]:
        """Lines of any streaming path, such as /podarium/v1/stats."""
        async with aclosing(self._lines(path, query or {}, JSON, method)) as found:
            async for line in found:
                yield line

    async def raw(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str | None = None,
        accept: str = JSON,
    ) -> bytes:
        """The body of the answer to any request; a request's body is JSON unless said otherwise."""
        answer = await self.transport.request(
            method,
            path,
            query=query,
            body=body,
            content_type=content_type or (JSON if body is not None else None),
            accept=accept,
        )
        if not 200 <= answer.status < 300:
            raise error_of(answer.status, answer.body)
        return answer.body

    async def _put(self, obj: T, subresource: str) -> T:
        path = resource_for(type(obj)).path(self._namespace(obj), obj.metadata.name, subresource)
        return codec.decode(type(obj), await self.raw("PUT", path, body=codec.encode(obj)))

    async def _lines(
        self, path: str, query: Mapping[str, str], accept: str, method: str = "GET"
    ) -> AsyncGenerator[bytes, None]:
        async with self.transport.stream(method, path, query=query, accept=accept) as chunks:
            async for line in lines(chunks):
                yield line

    def _path(
        self, cls: type[Object], name: str, namespace: str | None, subresource: str = ""
    ) -> str:
        if not name:
            raise ValueError(f"{cls.__name__}: the name must not be empty")
        return resource_for(cls).path(namespace or self.namespace, name, subresource)

    def _namespace(self, obj: Object) -> str:
        return obj.metadata.namespace or self.namespace


def _selectors(labels: str, fields: str) -> dict[str, str]:
    return {k: v for k, v in (("labelSelector", labels), ("fieldSelector", fields)) if v}


async def _events(
    cls: type[T], chunks: AsyncIterator[bytes]
) -> AsyncGenerator[WatchEvent[T], None]:
    async for line in lines(chunks):
        if not line.strip():
            continue
        event = codec.decode(_Event, line)
        if event.type == "ERROR":
            raise from_status(msgspec.json.decode(event.object))
        yield WatchEvent(event.type, codec.decode(cls, bytes(event.object)))
