"""The list of pods: what each uses, against what it may use."""

from __future__ import annotations

import math

from engine.types import clock, quantity
from engine.types.core import Pod

from ..render import cells
from ..render.spans import Line, crop
from ..render.text import inert
from .cluster import Cluster
from .column import Column, name_cell, quiet

TREND = 8
TREND_SECONDS = 32


def key_of(pod: Pod) -> str:
    """`namespace/name`."""
    return f"{pod.metadata.namespace}/{pod.metadata.name}"


def limits(pod: Pod) -> tuple[float | None, int | None]:
    """A pod's CPU limit in cores and memory limit in bytes; None when one container has none."""
    cpu: float | None = 0.0
    memory: int | None = 0
    for container in pod.spec.containers:
        limit = container.resources.limits
        cpu = cpu + quantity.cores(limit["cpu"]) if cpu is not None and "cpu" in limit else None
        if memory is not None and "memory" in limit:
            memory += quantity.bytes_(limit["memory"])
        else:
            memory = None
    return cpu or None, memory or None


def status(cluster: Cluster, pod: Pod) -> tuple[str, str]:
    """The word of a pod's status and what it means."""
    summary = cluster.summary(pod)
    word = summary.status
    if word == "Pending" and unschedulable(pod):
        return "Unschedulable", cells.WARN
    meaning = cells.meaning(word)
    if word == "Running" and summary.ready < summary.total:
        meaning = cells.WARN
    return inert(word), meaning


def unschedulable(pod: Pod) -> str:
    """Why the scheduler found no node; empty when it has not said so."""
    for condition in pod.status.conditions:
        if condition.type == "PodScheduled" and condition.status == "False":
            return condition.message or condition.reason
    return ""


def _ready(cluster: Cluster, pod: Pod, width: int) -> Line:
    summary = cluster.summary(pod)
    full = summary.ready == summary.total
    done = summary.status in ("Completed", "Succeeded")
    role = "dim" if full or done else "warn"
    return ((f"{summary.ready}/{summary.total}", role),)


def _status(cluster: Cluster, pod: Pod, width: int) -> Line:
    word, meaning = status(cluster, pod)
    return cells.state(crop(word, width - 2), meaning)


def _restarts(cluster: Cluster, pod: Pod, width: int) -> Line:
    summary = cluster.summary(pod)
    if not summary.restarts:
        return (("0", "faint"),)
    return ((str(summary.restarts), "warn" if summary.restarts > 2 else "text"),)


def _cpu(cluster: Cluster, pod: Pod) -> float:
    return zero(cluster.book.pod_now(key_of(pod), "cpu"))


def _memory(cluster: Cluster, pod: Pod) -> float:
    return zero(cluster.book.pod_now(key_of(pod), "memory"))


def zero(value: float) -> float:
    """NaN as -1, so that objects without numbers sort below all others."""
    return -1.0 if math.isnan(value) else value


def cpu_trend(cluster: Cluster, pod: Pod, width: int) -> Line:
    """The last half minute of a pod's CPU, against its limit."""
    from .series import grouped

    values = cluster.book.pod_values(key_of(pod), "cpu", TREND_SECONDS)
    limit = limits(pod)[0]
    seen = max((value for value in values if value == value), default=0.0)
    return cells.trend(grouped(values, width), width, "cpu", limit or max(0.1, seen), limit)


def _age(cluster: Cluster, pod: Pod, width: int) -> Line:
    return ((clock.age(pod.metadata.creation_timestamp, cluster.now()), "dim"),)


def born(cluster: Cluster, obj: object) -> float:
    """Seconds an object has existed, for sorting."""
    stamp = obj.metadata.creation_timestamp  # type: ignore[attr-defined]
    return cluster.now() - clock.parse(stamp) if stamp else 0.0


COLUMNS = (
    Column(
        "NAMESPACE",
        12,
        lambda c, p: inert(p.metadata.namespace),
        lambda c, p, w: quiet(inert(p.metadata.namespace), w),
        rank=7,
        key="P",
    ),
    Column(
        "NAME",
        0,
        lambda c, p: inert(p.metadata.name),
        lambda c, p, w: name_cell(inert(p.metadata.name), w),
        key="N",
    ),
    Column("READY", 5, lambda c, p: c.summary(p).ready, _ready, right=True, rank=3),
    Column("STATUS", 19, lambda c, p: status(c, p)[0], _status, key="S"),
    Column(
        "RST",
        3,
        lambda c, p: c.summary(p).restarts,
        _restarts,
        right=True,
        rank=2,
        key="R",
        down=True,
    ),
    Column(
        "CPU",
        5,
        _cpu,
        lambda c, p, w: cells.cores(c.book.pod_now(key_of(p), "cpu")),
        right=True,
        key="C",
        live=True,
        down=True,
    ),
    Column("", TREND, _cpu, cpu_trend, tight=True, live=True),
    Column(
        "MEM Mi",
        6,
        _memory,
        lambda c, p, w: cells.mebibytes(c.book.pod_now(key_of(p), "memory")),
        right=True,
        key="M",
        live=True,
        down=True,
    ),
    Column(
        "OF LIMIT",
        13,
        lambda c, p: zero(c.book.pod_now(key_of(p), "memory")) / (limits(p)[1] or math.inf),
        lambda c, p, w: cells.share(c.book.pod_now(key_of(p), "memory"), limits(p)[1], w, "memory"),
        tight=True,
        rank=5,
        live=True,
        down=True,
    ),
    Column(
        "IP",
        13,
        lambda c, p: p.status.pod_ip,
        lambda c, p, w: quiet(inert(p.status.pod_ip) or "–", w),
        rank=8,
        key="I",
    ),
    Column(
        "NODE",
        10,
        lambda c, p: inert(p.spec.node_name),
        lambda c, p, w: quiet(inert(p.spec.node_name) or "–", w),
        rank=6,
        key="O",
    ),
    Column("AGE", 5, born, _age, right=True, rank=2, key="A"),
)
