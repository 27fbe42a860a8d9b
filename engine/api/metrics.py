"""metrics.k8s.io: the last seconds of what pods and nodes used, for `kubectl top` and autoscalers.

CPU is the mean over the window, memory what it was at its end. What did not run then has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from engine.api.nodes import Nodes
from engine.api.request import Request, Response
from engine.api.selection import Selection
from engine.store.entry import Entry
from engine.store.store import Store
from engine.types import clock, codec
from engine.types.core import Node, Pod
from engine.types.meta import ObjectMeta
from engine.types.metrics import (
    GROUP,
    VERSION,
    ContainerMetrics,
    MetricsList,
    NodeMetrics,
    PodMetrics,
    Usage,
)
from engine.types.registry import Resource, resource_for
from engine.types.stats import Tick
from engine.types.status import MethodNotAllowed, NotFound

WINDOW = 10
"""Ticks, of one second each."""

READ = ("get", "list")
RESOURCES = (
    Resource(
        VERSION, "NodeMetrics", "nodes", NodeMetrics, group=GROUP, namespaced=False, verbs=READ
    ),
    Resource(VERSION, "PodMetrics", "pods", PodMetrics, group=GROUP, verbs=READ),
)


class Metrics:
    """Answers from the statistics that nodes keep anyway."""

    def __init__(self, store: Store, nodes: Nodes) -> None:
        self._store = store
        self._nodes = nodes

    def answer(self, parts: list[str], request: Request) -> Response | None:
        """None when the path is none of these. Raise NotFound, BadRequest, ServiceUnavailable."""
        if parts[:3] != ["apis", GROUP, VERSION]:
            return None
        match parts[3:]:
            case ["nodes"]:
                found = self._of_nodes(request)
                response = Response.of(MetricsList(kind="NodeMetricsList", items=found))
            case ["nodes", name]:
                response = _one("nodes", name, self._of_nodes(request))
            case ["pods"]:
                response = self._pods("", request)
            case ["namespaces", namespace, "pods"]:
                response = self._pods(namespace, request)
            case ["namespaces", namespace, "pods", name]:
                response = _one("pods", name, self._of_pods(namespace, request))
            case _:
                return None
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed
        return response

    def _pods(self, namespace: str, request: Request) -> Response:
        found = self._of_pods(namespace, request)
        return Response.of(MetricsList(kind="PodMetricsList", items=found))

    def _of_nodes(self, request: Request) -> list[NodeMetrics]:
        ticks = self._nodes.reach().recent(WINDOW)
        return [
            NodeMetrics(
                metadata=_metadata(entry, ticks),
                timestamp=_time(ticks),
                window=_window(ticks),
                usage=_usage(
                    [tick.nodes[name].cpu for tick in ticks if name in tick.nodes],
                    ticks[-1].nodes[name].memory,
                ),
            )
            for entry in self._selected(resource_for(Node), "", request)
            if ticks and (name := entry.key.name) in ticks[-1].nodes
        ]

    def _of_pods(self, namespace: str, request: Request) -> list[PodMetrics]:
        ticks = self._nodes.reach().recent(WINDOW)
        containers: dict[tuple[str, str], list[ContainerMetrics]] = {}
        for key in sorted(ticks[-1].containers) if ticks else ():
            of, pod, name = key.split("/")
            cpu = [tick.containers[key].cpu for tick in ticks if key in tick.containers]
            usage = _usage(cpu, ticks[-1].containers[key].memory)
            containers.setdefault((of, pod), []).append(ContainerMetrics(name=name, usage=usage))
        return [
            PodMetrics(
                metadata=_metadata(entry, ticks),
                timestamp=_time(ticks),
                window=_window(ticks),
                containers=containers[entry.key.namespace, entry.key.name],
            )
            for entry in self._selected(resource_for(Pod), namespace, request)
            if (entry.key.namespace, entry.key.name) in containers
        ]

    def _selected(self, resource: Resource, namespace: str, request: Request) -> list[Entry]:
        labels = request.query.get("labelSelector", "")
        chosen = Selection(resource, labels, request.query.get("fieldSelector", ""))
        return [e for e in self._store.scan(resource.key, namespace) if chosen.matches(e)]


def _one(plural: str, name: str, found: Sequence[NodeMetrics] | Sequence[PodMetrics]) -> Response:
    for item in found:
        if item.metadata.name == name:
            return Response.of(item)
    raise NotFound(f"{plural}.{GROUP}", name)


def _metadata(entry: Entry, ticks: list[Tick]) -> ObjectMeta:
    meta = codec.decode(Pod, entry.value).metadata
    return ObjectMeta(
        name=meta.name,
        namespace=meta.namespace,
        labels=meta.labels,
        creation_timestamp=_time(ticks),
    )


def _time(ticks: list[Tick]) -> str:
    return clock.format(ticks[-1].t)


def _window(ticks: list[Tick]) -> str:
    return f"{len(ticks)}s"


def _usage(cpu: list[float], memory: int) -> Usage:
    return {"cpu": f"{round(fmean(cpu) * 1e9)}n", "memory": f"{memory // 1024}Ki"}
