"""What only nodes can tell, passed on from their gateway: logs, anatomy, traces, statistics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from engine.api.begun import Begun
from engine.api.gateway import LogOptions, NodeGateway
from engine.api.request import Request, Response
from engine.api.writer import key_of
from engine.store.store import Store
from engine.types import clock, codec
from engine.types.clock import Clock
from engine.types.codec import encode
from engine.types.containers import ContainerStatus
from engine.types.core import Pod
from engine.types.registry import resource_for
from engine.types.status import BadRequest, MethodNotAllowed, NotFound, ServiceUnavailable

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


class Nodes:
    """`gateway` may come later than the API: nodes start after it."""

    def __init__(self, store: Store, now: Clock, gateway: NodeGateway | None) -> None:
        self.gateway = gateway
        self._store = store
        self._now = now

    async def answer(self, parts: list[str], request: Request) -> Response | None:
        """None when the path is none of these. Raise NotFound, BadRequest, ServiceUnavailable."""
        match parts:
            case ["podarium", "v1", "stats"]:
                _only_get(request)
                history = max(0, request.number("history") or 0)
                stream = await Begun.begin(_lines(self.reach(), history))
                return Response(200, stream, "application/x-ndjson")
            case [
                "podarium",
                "v1",
                "namespaces",
                namespace,
                "pods",
                name,
                "containers",
                c,
                "anatomy" | "trace" as what,
            ]:
                _only_get(request)
                pod, nodes = self.pod(namespace, name), self.reach()
                ask = nodes.anatomy if what == "anatomy" else nodes.trace
                return Response.of(await ask(pod, _named(pod, c)))
        return None

    async def log(self, namespace: str, name: str, request: Request) -> Response:
        """A container's log as text. Raise NotFound, BadRequest or ServiceUnavailable."""
        pod = self.pod(namespace, name)
        container = container_of(pod, request.query.get("container", ""))
        options = self._options(request)
        if not pod.spec.node_name:
            return Response(200, b"", "text/plain")
        _check_started(pod, container, previous=options.previous)
        stream = await Begun.begin(self.reach().logs(pod, container, options))
        return Response(200, stream, "text/plain")

    def reach(self) -> NodeGateway:
        """Raise ServiceUnavailable."""
        if self.gateway is None:
            raise ServiceUnavailable("no node of this cluster can be reached yet")
        return self.gateway

    def pod(self, namespace: str, name: str) -> Pod:
        """Raise NotFound."""
        entry = self._store.get(key_of(resource_for(Pod), namespace, name))
        if entry is None:
            raise NotFound("pods", name)
        return codec.decode(Pod, entry.value)

    def pod_with(self, namespace: str, name: str, container: str) -> Pod:
        """A pod that has a container of this name. Raise NotFound, BadRequest."""
        pod = self.pod(namespace, name)
        _named(pod, container)
        return pod

    def _options(self, request: Request) -> LogOptions:
        tail, limit = request.number("tailLines"), request.number("limitBytes")
        seconds, since_time = request.number("sinceSeconds"), request.query.get("sinceTime")
        for field, value, least in (("tailLines", tail, 0), ("limitBytes", limit, 1)):
            if value is not None and value < least:
                raise BadRequest(f"{field}: Invalid value: {value}: must be at least {least}")
        if seconds is not None and since_time:
            raise BadRequest("at most one of `sinceTime` or `sinceSeconds` may be specified")
        since = None if seconds is None else self._now() - seconds
        if since_time:
            try:
                since = clock.parse(since_time)
            except ValueError as error:
                raise BadRequest(f"sinceTime: {error}") from error
        return LogOptions(
            follow=request.flag("follow"),
            previous=request.flag("previous"),
            tail=tail,
            since=since,
            timestamps=request.flag("timestamps"),
            limit_bytes=limit,
        )


async def _lines(gateway: NodeGateway, history: int) -> AsyncIterator[bytes]:
    async for tick in gateway.stats(history):
        yield encode(tick) + b"\n"


def _only_get(request: Request) -> None:
    if request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed


def _names(pod: Pod) -> list[str]:
    spec = pod.spec
    return [c.name for c in (*spec.init_containers, *spec.containers, *spec.ephemeral_containers)]


def _named(pod: Pod, container: str) -> str:
    if container not in _names(pod):
        raise BadRequest(f"container {container} is not valid for pod {pod.metadata.name}")
    return container


def container_of(pod: Pod, wanted: str) -> str:
    """The container meant: the one named, the annotated default, or the only one.

    Raise BadRequest.
    """
    if wanted:
        return _named(pod, wanted)
    spec, name = pod.spec, pod.metadata.name
    default = pod.metadata.annotations.get(DEFAULT_CONTAINER)
    if default in _names(pod):
        return default
    if len(spec.containers) == 1:
        return spec.containers[0].name
    choices = " ".join(c.name for c in spec.containers)
    text = f"a container name must be specified for pod {name}, choose one of: [{choices}]"
    if spec.init_containers:
        inits = " ".join(c.name for c in spec.init_containers)
        text += f" or one of the init containers: [{inits}]"
    raise BadRequest(text)


def _check_started(pod: Pod, container: str, *, previous: bool) -> None:
    """Refuse, in the kubelet's words, when there is no such life of the container."""
    name, status = pod.metadata.name, _status(pod, container)
    if previous:
        if status is None or status.last_state.terminated is None:
            raise BadRequest(
                f'previous terminated container "{container}" in pod "{name}" not found'
            )
        return
    waiting = None if status is None else status.state.waiting
    if status is None or (waiting is not None and status.last_state.terminated is None):
        reason = (waiting.reason if waiting else "") or "ContainerCreating"
        what = (
            f"container {container!r} in pod {name!r} is waiting to start: {reason}"
            if "Image" not in reason and "Err" not in reason
            else f"container {container!r} in pod {name!r} is waiting to start: trying and failing"
            f" to pull image"
        )
        raise BadRequest(what.replace("'", '"'))


def _status(pod: Pod, container: str) -> ContainerStatus | None:
    known: Sequence[ContainerStatus] = (
        *pod.status.init_container_statuses,
        *pod.status.container_statuses,
        *pod.status.ephemeral_container_statuses,
    )
    return next((status for status in known if status.name == container), None)
