"""What lies under an object: its status and scale, and actions such as binding and eviction."""

from __future__ import annotations

from typing import Any

from engine.api import body
from engine.api.actions import BINDING, EVICTION, SCALE, Eviction
from engine.api.deletion import delete_options
from engine.api.nodes import Nodes
from engine.api.request import Request, Response
from engine.api.route import Route
from engine.api.stream.streams import STREAMS, Streams
from engine.api.verbs import Verbs, patch_of
from engine.api.writer import Writer, key_of
from engine.store.entry import Entry
from engine.store.store import Store
from engine.types import clock, codec, selector
from engine.types.autoscaling import Scale, ScaleSpec, ScaleStatus
from engine.types.clock import Clock
from engine.types.core import Binding, Pod
from engine.types.meta import Object, ObjectMeta
from engine.types.pods import PodCondition
from engine.types.status import (
    BadRequest,
    Conflict,
    Invalid,
    MethodNotAllowed,
    NoSuchPath,
    NotFound,
    invalid,
    required,
)

SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


class Subresources:
    """Parts and actions of single objects."""

    def __init__(
        self, store: Store, writer: Writer, verbs: Verbs, nodes: Nodes, now: Clock
    ) -> None:
        self._store = store
        self._writer = writer
        self._verbs = verbs
        self._nodes = nodes
        self._streams = Streams(nodes)
        self._now = now

    async def answer(self, route: Route, request: Request) -> Response:
        """Raise NoSuchPath for a subresource that the resource does not have."""
        resource, is_pod = route.resource, route.resource.kind == "Pod"
        match route.subresource:
            case "status" if resource.has_status:
                return await self._part(route, request, "status")
            case "ephemeralcontainers" | "resize" as part if is_pod:
                return await self._part(route, request, part)
            case "finalize" if resource.kind == "Namespace":
                return await self._part(route, request, "finalize")
            case "scale" if resource.has_scale:
                return await self._scale(route, request)
            case "binding" if is_pod and request.method == "POST":
                return await self._bind(route, request)
            case "eviction" if is_pod and request.method == "POST":
                return await self._evict(route, request)
            case "log" if is_pod and request.method == "GET":
                return await self._nodes.log(route.namespace, route.name, request)
            case name if is_pod and name in STREAMS:
                return self._streams.answer(route, request)
            case "binding" | "eviction" | "log" if is_pod:
                raise MethodNotAllowed
        raise NoSuchPath

    async def _part(self, route: Route, request: Request, part: str) -> Response:
        match request.method:
            case "GET":
                return Response(200, self._value(route))
            case "PUT":
                return await self._verbs.replace(route, request, part)
            case "PATCH":
                return await self._verbs.patch(route, request, part)
        raise MethodNotAllowed

    async def _scale(self, route: Route, request: Request) -> Response:
        resource = route.resource
        if request.method == "GET":
            return Response.of(_scale_of(codec.decode(resource.cls, self._value(route))))
        if request.method == "PUT":
            data = body.parse(request)

            def read(current: Scale) -> Object:
                return body.object_of(data, SCALE, request)

        elif request.method == "PATCH":
            apply = patch_of(request, SCALE)

            def read(current: Scale) -> Object:
                return body.object_of(apply(codec.to_dict(current)), SCALE, request)

        else:
            raise MethodNotAllowed

        def change(old: Object, entry: Entry) -> Object:
            wished = read(_scale_of(old))
            assert isinstance(wished, Scale)
            if wished.spec.replicas < 0:
                fault = invalid(
                    "spec.replicas", wished.spec.replicas, "must be greater than or equal to 0"
                )
                raise Invalid("Scale.autoscaling", route.name, [fault])
            spec: Any = old.spec  # type: ignore[attr-defined]
            spec.replicas = wished.spec.replicas
            old.metadata.resource_version = wished.metadata.resource_version
            old.metadata.uid = wished.metadata.uid or old.metadata.uid
            return old

        value = await self._writer.change(
            resource, route.namespace, route.name, change, dry_run=request.dry_run
        )
        return Response.of(_scale_of(codec.decode(resource.cls, value)))

    async def _bind(self, route: Route, request: Request) -> Response:
        binding = body.object_of(body.parse(request), BINDING, request)
        assert isinstance(binding, Binding)
        node, name = binding.target.name, route.name
        if binding.target.kind not in ("", "Node"):
            fault = invalid("target.kind", binding.target.kind, "must be empty, 'Node'")
            raise Invalid("Binding", name, [fault])
        if not node:
            raise Invalid("Binding", name, [required("target.name")])
        if binding.metadata.name and binding.metadata.name != name:
            raise BadRequest("name in URL does not match name in Binding object")

        def change(pod: Object, entry: Entry) -> Object:
            assert isinstance(pod, Pod)
            if binding.metadata.uid and binding.metadata.uid != pod.metadata.uid:
                raise Conflict("pods/binding", name, f"pod {name} is another one by now")
            if pod.metadata.deletion_timestamp is not None:
                why = f"pod {name} is being deleted, cannot be assigned to a host"
                raise Conflict("pods/binding", name, why)
            if pod.spec.node_name:
                why = f'pod {name} is already assigned to node "{pod.spec.node_name}"'
                raise Conflict("pods/binding", name, why)
            pod.spec.node_name = node
            pod.metadata.annotations |= binding.metadata.annotations
            _set_scheduled(pod, clock.now(self._now))
            return pod

        await self._writer.change(
            route.resource,
            route.namespace,
            name,
            change,
            part="binding",
            dry_run=request.dry_run,
        )
        return Response.of(SUCCESS, 201)

    async def _evict(self, route: Route, request: Request) -> Response:
        """Eviction is deletion; nothing here can forbid it."""
        eviction = body.object_of(body.parse(request), EVICTION, request)
        assert isinstance(eviction, Eviction)
        wished = eviction.delete_options
        options = delete_options({} if wished is None else codec.to_dict(wished), request)
        await self._writer.delete(route.resource, route.namespace, route.name, options)
        return Response.of(SUCCESS, 201)

    def _value(self, route: Route) -> bytes:
        entry = self._store.get(key_of(route.resource, route.namespace, route.name))
        if entry is None:
            raise NotFound(route.resource.qualified, route.name)
        return entry.value


def _set_scheduled(pod: Pod, now: str) -> None:
    others = [c for c in pod.status.conditions if c.type != "PodScheduled"]
    scheduled = PodCondition(type="PodScheduled", status="True", last_transition_time=now)
    pod.status.conditions = [*others, scheduled]


def _scale_of(obj: Object) -> Scale:
    """A deployment or replica set, seen as a number of replicas."""
    spec: Any = obj.spec  # type: ignore[attr-defined]
    status: Any = obj.status  # type: ignore[attr-defined]
    meta = obj.metadata
    return Scale(
        metadata=ObjectMeta(
            name=meta.name,
            namespace=meta.namespace,
            uid=meta.uid,
            resource_version=meta.resource_version,
            creation_timestamp=meta.creation_timestamp,
        ),
        spec=ScaleSpec(replicas=spec.replicas or 0),
        status=ScaleStatus(replicas=status.replicas, selector=str(selector.of(spec.selector))),
    )
