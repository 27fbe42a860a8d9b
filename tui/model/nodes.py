"""The list of nodes: capacity, what pods asked for, what they use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from engine.types import clock, quantity
from engine.types.core import Node

from ..render import cells
from ..render.spans import Line, crop
from ..render.text import inert
from .cluster import Cluster
from .column import Column, name_cell, quiet
from .pods import born, zero

_ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Use:
    """A node's resources: CPU in cores, memory in bytes."""

    cpu: float
    memory: float
    cpu_capacity: float
    memory_capacity: int
    cpu_requested: float
    memory_requested: int
    pods: int
    pod_capacity: int


def use(cluster: Cluster, node: Node) -> Use:
    """What a node has, promised and uses now (NaN while there are no numbers)."""
    name = node.metadata.name
    capacity = node.status.allocatable or node.status.capacity
    pods = [pod for pod in cluster.pods_on(name) if pod.status.phase not in _ENDED]
    asked = [cluster.requests(pod) for pod in pods]
    return Use(
        cluster.book.now(f"node/{name}", "cpu"),
        cluster.book.now(f"node/{name}", "memory"),
        *allocatable(node),
        sum(cpu for cpu, _ in asked),
        sum(memory for _, memory in asked),
        len(pods),
        int(quantity.parse(capacity.get("pods", 0))),
    )


def capacity(cluster: Cluster) -> tuple[float, int]:
    """CPU in cores and memory in bytes that all nodes have together."""
    cpu, memory = 0.0, 0
    for node in cluster.objects("nodes").values():
        assert isinstance(node, Node)
        has = allocatable(node)
        cpu += has[0]
        memory += has[1]
    return cpu, memory


@lru_cache(maxsize=4096)
def _parsed(cpu: str, memory: str) -> tuple[float, int]:
    return quantity.cores(cpu), quantity.bytes_(memory)


def allocatable(node: Node) -> tuple[float, int]:
    """CPU in cores and memory in bytes that pods can have of a node."""
    has = node.status.allocatable or node.status.capacity
    return _parsed(str(has.get("cpu", 0)), str(has.get("memory", 0)))


def status(node: Node) -> tuple[str, str]:
    """The word of a node's status and what it means."""
    ready = next((c.status for c in node.status.conditions if c.type == "Ready"), "Unknown")
    if ready != "True":
        return "NotReady", cells.BAD
    if node.spec.unschedulable:
        return "Cordoned", cells.WARN
    return "Ready", cells.OK


def address(node: Node) -> str:
    """A node's internal address."""
    return next((a.address for a in node.status.addresses if a.type == "InternalIP"), "")


def _status(cluster: Cluster, node: Node, width: int) -> Line:
    return cells.state(*status(node))


COLUMNS = (
    Column(
        "NAME",
        0,
        lambda c, n: inert(n.metadata.name),
        lambda c, n, w: name_cell(inert(n.metadata.name), w),
        minimum=14,
        key="N",
    ),
    Column("STATUS", 10, lambda c, n: status(n)[0], _status, key="S"),
    Column(
        "PODS",
        4,
        lambda c, n: use(c, n).pods,
        lambda c, n, w: ((str(use(c, n).pods), "text"),),
        right=True,
    ),
    Column(
        "CPU",
        5,
        lambda c, n: zero(use(c, n).cpu),
        lambda c, n, w: cells.cores(use(c, n).cpu),
        right=True,
        key="C",
        live=True,
        down=True,
    ),
    Column(
        "OF CAPACITY",
        15,
        lambda c, n: zero(use(c, n).cpu),
        lambda c, n, w: cells.share(use(c, n).cpu, use(c, n).cpu_capacity, w, "cpu"),
        tight=True,
        live=True,
        down=True,
        rank=3,
    ),
    Column(
        "REQ",
        5,
        lambda c, n: use(c, n).cpu_requested,
        lambda c, n, w: cells.number(f"{use(c, n).cpu_requested:.2f}", 0.0, quiet=True),
        right=True,
        rank=6,
        down=True,
    ),
    Column(
        "MEM Mi",
        6,
        lambda c, n: zero(use(c, n).memory),
        lambda c, n, w: cells.mebibytes(use(c, n).memory),
        right=True,
        key="M",
        live=True,
        down=True,
    ),
    Column(
        "OF CAPACITY",
        15,
        lambda c, n: zero(use(c, n).memory),
        lambda c, n, w: cells.share(use(c, n).memory, use(c, n).memory_capacity, w, "memory"),
        tight=True,
        live=True,
        down=True,
        rank=4,
    ),
    Column(
        "REQ Mi",
        6,
        lambda c, n: use(c, n).memory_requested,
        lambda c, n, w: ((f"{use(c, n).memory_requested / (1 << 20):.0f}", "dim"),),
        right=True,
        rank=6,
        down=True,
    ),
    Column(
        "POD CIDR",
        15,
        lambda c, n: n.spec.pod_cidr,
        lambda c, n, w: quiet(inert(n.spec.pod_cidr), w),
        rank=7,
    ),
    Column("ADDRESS", 13, lambda c, n: address(n), lambda c, n, w: quiet(address(n), w), rank=7),
    Column(
        "VERSION",
        12,
        lambda c, n: n.status.node_info.kubelet_version,
        lambda c, n, w: quiet(crop(inert(n.status.node_info.kubelet_version), w), w),
        rank=8,
    ),
    Column(
        "AGE",
        5,
        born,
        lambda c, n, w: quiet(clock.age(n.metadata.creation_timestamp, c.now()), w),
        right=True,
        rank=5,
        key="A",
    ),
)
