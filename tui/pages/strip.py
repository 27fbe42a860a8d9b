"""Three charts below a list on large screens: what the listed rows use together."""

from __future__ import annotations

from ..model.cluster import Cluster
from ..model.pods import key_of
from ..model.view import View
from ..render import numbers
from ..render.chart import AXIS, chart, mirrored
from ..render.page import Page
from ..render.spans import beside


def _keys(cluster: Cluster, view: View) -> tuple[list[str], str]:
    """The series to add up, and what they are of."""
    kind = view.listing.kind
    if kind == "pods":
        keys = [name for pod in view.order for name in cluster.book.containers(pod)]
        return keys, numbers.plural(len(view.order), "pod")
    if kind in ("deployments", "replicasets", "jobs"):
        owners = [obj for key in view.order if (obj := cluster.get(kind, key)) is not None]
        pods = [key_of(pod) for owner in owners for pod in cluster.pods_of(owner)]
        keys = [name for pod in pods for name in cluster.book.containers(pod)]
        return keys, numbers.plural(len(owners), view.listing.noun)
    if kind == "nodes":
        return [f"node/{key}" for key in view.order], numbers.plural(len(view.order), "node")
    return [f"node/{key}" for key in cluster.objects("nodes")], "the cluster"


def strip(cluster: Cluster, view: View, width: int, height: int) -> Page:
    """CPU, memory and network side by side."""
    book = cluster.book
    keys, of = _keys(cluster, view)
    third = (width - 2) // 3
    sizes = [third, third, width - 2 - 2 * third]
    count = (sizes[2] - 4 - AXIS) * 2
    charts = [
        chart(
            book.sums(keys, "cpu", count),
            sizes[0],
            height,
            title="CPU",
            unit="cores",
            scale="cpu",
            show=numbers.cores,
            note=((of, "dim"),),
        ),
        chart(
            book.sums(keys, "memory", count),
            sizes[1],
            height,
            title="Memory",
            scale="memory",
            show=numbers.size,
            floor=1 << 20,
            note=((of, "dim"),),
        ),
        mirrored(
            book.sums(keys, "rx", count),
            book.sums(keys, "tx", count),
            sizes[2],
            height,
            title="Network",
            show=numbers.size,
            names=("in", "out"),
            floor=1024,
        ),
    ]
    return Page(beside(charts, sizes))
