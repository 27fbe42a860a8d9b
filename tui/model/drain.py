"""What draining a node would do, before it is done: which pods move, which stay, which are lost."""

from __future__ import annotations

from dataclasses import dataclass

from engine.types.core import Node, Pod
from engine.types.meta import controller_of

from ..render.spans import EMPTY, Block, Span
from ..render.text import inert
from .cluster import Cluster
from .nodes import status, use

MIRROR = "kubernetes.io/config.mirror"


@dataclass(frozen=True)
class Fate:
    """Of one pod. `what`: moves, stays, lost (nothing makes it again), or goes (it has ended)."""

    pod: Pod
    what: str
    why: str
    room: tuple[str, ...] = ()
    """Other nodes that have room for it, by what is requested of them."""

    @property
    def leaves(self) -> bool:
        return self.what != "stays"


def plan(cluster: Cluster, node: Node) -> list[Fate]:
    """As `kubectl drain --ignore-daemonsets --delete-emptydir-data` sorts them."""
    pods = sorted(cluster.pods_on(node.metadata.name), key=lambda pod: pod.metadata.name)
    return [_fate(cluster, node, pod) for pod in pods]


def _fate(cluster: Cluster, node: Node, pod: Pod) -> Fate:
    ref = controller_of(pod.metadata)
    if pod.status.phase in ("Succeeded", "Failed"):
        return Fate(pod, "goes", "it has ended")
    if ref is not None and ref.kind == "DaemonSet":
        return Fate(pod, "stays", f"{ref.kind} {ref.name} wants one on every node")
    if MIRROR in pod.metadata.annotations:
        return Fate(pod, "stays", "the node itself runs it")
    data = ", its emptyDir data is lost" if _keeps_data(pod) else ""
    if ref is None:
        return Fate(pod, "lost", f"nothing makes it again{data}")
    return Fate(pod, "moves", f"{ref.kind} {ref.name}{data}", _with_room(cluster, node, pod))


def _keeps_data(pod: Pod) -> bool:
    return any(volume.empty_dir is not None for volume in pod.spec.volumes)


def _with_room(cluster: Cluster, leaving: Node, pod: Pod) -> tuple[str, ...]:
    cpu, memory = cluster.requests(pod)
    names = []
    for node in cluster.objects("nodes").values():
        assert isinstance(node, Node)
        if node.metadata.name == leaving.metadata.name or status(node)[0] != "Ready":
            continue
        now = use(cluster, node)
        fits = (
            now.cpu_capacity - now.cpu_requested >= cpu
            and now.memory_capacity - now.memory_requested >= memory
            and now.pods < now.pod_capacity
        )
        if fits:
            names.append(node.metadata.name)
    return tuple(sorted(names))


_SIGNS = {"moves": ("→", "ok"), "stays": ("●", "dim"), "lost": ("✖", "bad"), "goes": ("·", "dim")}


def page(fates: list[Fate]) -> Block:
    """The plan, a line a pod."""
    out: Block = []
    width = max((len(fate.pod.metadata.name) for fate in fates), default=0)
    for fate in fates:
        sign, role = _SIGNS[fate.what]
        where: Span = ("", "dim")
        if fate.what == "moves" and fate.room:
            where = (f"  room on {', '.join(fate.room)}", "dim")
        elif fate.what == "moves":
            where = ("  no other node has room: it will be Pending", "warn")
        name = inert(fate.pod.metadata.name).ljust(width)
        out.append(
            (
                (f" {sign} ", role),
                (name, "bright"),
                (f"  {fate.what:5}", role),
                where,
                (f"  {inert(fate.why)}", "text"),
            )
        )
    return out or [EMPTY, ((" No pod is on it.", "dim"),)]
