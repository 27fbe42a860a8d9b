"""The metrics.k8s.io group, v1beta1: what `kubectl top` and autoscalers read; nothing is stored."""

from __future__ import annotations

from typing import Annotated

from engine.types.declare import F, Type, always
from engine.types.meta import ListMeta, Object

GROUP, VERSION = "metrics.k8s.io", "v1beta1"

Usage = dict[str, str]
"""Quantities of "cpu" and "memory" (the working set)."""


class ContainerMetrics(Type, kw_only=True):
    """What a container used."""

    name: Annotated[str, F("Name in its pod.")] = ""
    usage: Annotated[Usage, F("CPU and memory.")] = always(dict)


class PodMetrics(Object, kw_only=True):
    """What a pod's running containers used, over `window` until `timestamp`."""

    api_version: Annotated[str, F("Group and version of the schema.")] = always(
        f"{GROUP}/{VERSION}"
    )
    kind: Annotated[str, F("Name of the schema.")] = always("PodMetrics")
    timestamp: Annotated[str, F("End of the time that was measured.")] = ""
    window: Annotated[str, F("Its length.")] = ""
    containers: Annotated[list[ContainerMetrics], F("One by one.")] = always(list)


class NodeMetrics(Object, kw_only=True):
    """What a node's pods used, over `window` until `timestamp`."""

    api_version: Annotated[str, F("Group and version of the schema.")] = always(
        f"{GROUP}/{VERSION}"
    )
    kind: Annotated[str, F("Name of the schema.")] = always("NodeMetrics")
    timestamp: Annotated[str, F("End of the time that was measured.")] = ""
    window: Annotated[str, F("Its length.")] = ""
    usage: Annotated[Usage, F("CPU and memory.")] = always(dict)


class MetricsList(Type, kw_only=True):
    """All of a kind."""

    api_version: Annotated[str, F("Group and version of the schema.")] = always(
        f"{GROUP}/{VERSION}"
    )
    kind: Annotated[str, F("Name of the schema.")] = ""
    metadata: Annotated[ListMeta, F("Of the list.")] = always(ListMeta)
    items: Annotated[list[PodMetrics] | list[NodeMetrics], F("One by one.")] = always(list)
