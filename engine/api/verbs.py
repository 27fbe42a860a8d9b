"""Create, replace, patch and delete: from a request's body to the writer."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.api import body, patch
from engine.api.deletion import delete_options
from engine.api.request import Request, Response
from engine.api.route import Route
from engine.api.selection import Selection
from engine.api.strategic import strategic_merge
from engine.api.writer import Change, Writer
from engine.store.entry import Entry
from engine.store.store import Store
from engine.types.meta import DeleteOptions, Object
from engine.types.registry import Resource
from engine.types.status import BadRequest, NotFound, UnsupportedMediaType

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
PATCHES = (JSON_PATCH, MERGE, STRATEGIC)


class Verbs:
    """What a client can do to an object as a whole."""

    def __init__(self, store: Store, writer: Writer) -> None:
        self._store = store
        self._writer = writer

    async def create(self, route: Route, request: Request) -> Response:
        """Raise what the writer raises, or BadRequest."""
        obj = body.object_of(body.parse(request), route.resource, request)
        namespace = namespace_of(route, obj)
        value = await self._writer.create(route.resource, namespace, obj, dry_run=request.dry_run)
        return Response(201, value)

    async def replace(self, route: Route, request: Request, part: str = "") -> Response:
        """The body is the whole new state of the object, or of one part of it."""
        obj = body.object_of(body.parse(request), route.resource, request)
        namespace_of(route, obj)
        return await self._change(route, request, lambda old, entry: obj, part)

    async def patch(self, route: Route, request: Request, part: str = "") -> Response:
        """The body says what to change."""
        apply = patch_of(request, route.resource)

        def change(old: Object, entry: Entry) -> Object:
            return body.object_of(apply(msgspec.json.decode(entry.value)), route.resource, request)

        return await self._change(route, request, change, part)

    async def delete(self, route: Route, request: Request) -> Response:
        """The object if it stays for a while, else a Status of what was removed."""
        options = _options(request)
        value, gone = await self._writer.delete(
            route.resource, route.namespace, route.name, options
        )
        return Response(200, _removed(route, value) if gone else value)

    async def delete_collection(self, route: Route, request: Request) -> Response:
        """Delete all that the selectors choose; answer with them as they were at their end."""
        options = _options(request)
        query = request.query
        chosen = Selection(
            route.resource, query.get("labelSelector", ""), query.get("fieldSelector", "")
        )
        deleted = []
        for entry in self._store.scan(route.resource.key, route.namespace):
            if not chosen.matches(entry):
                continue
            try:
                value, _ = await self._writer.delete(
                    route.resource, entry.key.namespace, entry.key.name, options
                )
            except NotFound:  # someone was faster
                continue
            deleted.append(msgspec.Raw(value))
        return Response.of(
            {
                "kind": f"{route.resource.kind}List",
                "apiVersion": route.resource.api_version,
                "metadata": {"resourceVersion": str(self._store.revision)},
                "items": deleted,
            }
        )

    async def _change(self, route: Route, request: Request, change: Change, part: str) -> Response:
        value = await self._writer.change(
            route.resource,
            route.namespace,
            route.name,
            change,
            part=part,
            dry_run=request.dry_run,
        )
        return Response(200, value)


def namespace_of(route: Route, obj: Object) -> str:
    """The namespace that URL and body agree on. Raise BadRequest when they do not."""
    if not route.resource.namespaced:
        return ""
    given = obj.metadata.namespace
    if given and route.namespace and given != route.namespace:
        raise BadRequest(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    namespace = route.namespace or given
    if not namespace:
        raise BadRequest("an empty namespace may not be set during creation")
    return namespace


def patch_of(request: Request, resource: Resource) -> Any:
    """What the request's patch does to plain data. Raise UnsupportedMediaType or BadRequest."""
    kind = body.media_type(request)
    if kind not in PATCHES:
        raise UnsupportedMediaType(PATCHES)
    try:
        data = msgspec.json.decode(request.body)
    except msgspec.DecodeError as error:
        raise BadRequest(f"error decoding patch: {error}") from error
    if kind == JSON_PATCH:
        return lambda target: patch.json_patch(target, data)
    if not isinstance(data, dict):
        raise BadRequest("error decoding patch: the patch is not an object")
    if kind == MERGE:
        return lambda target: patch.merge_patch(target, data)
    return lambda target: strategic_merge(target, data, resource.cls)


def _options(request: Request) -> DeleteOptions:
    data: dict[str, Any] = body.parse(request) if request.body.strip() else {}
    return delete_options(data, request)


def _removed(route: Route, value: bytes) -> bytes:
    obj = msgspec.json.decode(value)
    details = {"name": route.name, "kind": route.resource.plural, "uid": obj["metadata"]["uid"]}
    if route.resource.group:
        details["group"] = route.resource.group
    return msgspec.json.encode(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }
    )
