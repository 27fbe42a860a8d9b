"""One second of the whole cluster; `GET /podarium/v1/stats` streams one Tick per line of JSON."""

from __future__ import annotations

from typing import Annotated

from engine.types.declare import F, Type, always


class NodeSample(Type, kw_only=True):
    """What a node's pods used in this second."""

    cpu: Annotated[float, F("CPUs used.")] = always(float)
    memory: Annotated[int, F("Working set, bytes.")] = always(int)
    pids: Annotated[int, F("Processes and threads.")] = always(int)
    pods: Annotated[int, F("Pods that run.")] = always(int)
    rx: Annotated[float, F("Bytes received per second.")] = 0.0
    tx: Annotated[float, F("Bytes sent per second.")] = 0.0


class ContainerSample(Type, kw_only=True):
    """What a container used in this second."""

    node: Annotated[str, F("Node it runs on.")] = always("")
    cpu: Annotated[float, F("CPUs used.")] = always(float)
    memory: Annotated[int, F("Working set, bytes.")] = always(int)
    anon: Annotated[int, F("Anonymous memory, bytes.")] = 0
    file: Annotated[int, F("Page cache, bytes.")] = 0
    kernel: Annotated[int, F("Kernel memory, bytes.")] = 0
    memory_limit: Annotated[int | None, F("Most memory, bytes.")] = None
    cpu_limit: Annotated[float | None, F("Most CPUs.")] = None
    pids: Annotated[int, F("Processes and threads.")] = always(int)
    throttled: Annotated[float, F("Part of the second it was held back, 0 to 1.")] = 0.0
    cpu_pressure: Annotated[float, F("Part of 10 s that tasks waited for a CPU, 0 to 1.")] = 0.0
    memory_pressure: Annotated[float, F("... for memory.")] = 0.0
    io_pressure: Annotated[float, F("... for a disk.")] = 0.0
    rx: Annotated[float, F("Bytes its pod received per second.")] = 0.0
    tx: Annotated[float, F("Bytes its pod sent per second.")] = 0.0
    oom_kills: Annotated[int, F("Processes killed for memory since its start.")] = 0


class Tick(Type, kw_only=True):
    """All nodes and containers at one time."""

    t: Annotated[float, F("Seconds since 1970.")] = always(float)
    nodes: Annotated[dict[str, NodeSample], F("By name.")] = always(dict)
    containers: Annotated[dict[str, ContainerSample], F('By "namespace/pod/container".')] = always(
        dict
    )
