"""TaintToleration: taints keep pods away; the soft ones only make a node less liked."""

from collections.abc import Iterable, Iterator

import numpy as np

from engine.scheduler.columns import Columns, Ints, Mask
from engine.scheduler.event import Change
from engine.scheduler.node import TaintKey
from engine.scheduler.plugins.base import Plugin, scale_down
from engine.scheduler.pod import PodInfo
from engine.types.pods import Toleration
from engine.types.toleration import tolerates

HARD = ("NoSchedule", "NoExecute")


def tolerated(taint: TaintKey, tolerations: Iterable[Toleration]) -> bool:
    """Whether any toleration matches."""
    return any(tolerates(toleration, taint) for toleration in tolerations)


class Taints(Plugin):
    name = "TaintToleration"
    weight = 3
    static = True
    helped_by = Change.NODE_ADDED | Change.NODE_TAINTS

    def _untolerated(
        self, cluster: Columns, pod: PodInfo, effects: tuple[str, ...]
    ) -> Iterator[tuple[TaintKey, Mask]]:
        for taint, nodes in cluster.taints().items():
            if taint.effect in effects and not tolerated(taint, pod.tolerations):
                yield taint, nodes

    def mask(self, cluster: Columns, pod: PodInfo) -> Mask | None:
        mask: Mask | None = None
        for _, nodes in self._untolerated(cluster, pod, HARD):
            mask = ~nodes if mask is None else mask & ~nodes
        return mask

    def reasons(self, cluster: Columns, pod: PodInfo, rejected: Mask) -> Iterator[tuple[str, Mask]]:
        # Kubernetes names the first untolerated taint in the node's own order, and only that one.
        groups: dict[TaintKey, list[int]] = {}
        for row in np.flatnonzero(rejected):
            node = cluster.nodes[int(row)]
            assert node is not None
            first = next(
                t for t in node.taints if t.effect in HARD and not tolerated(t, pod.tolerations)
            )
            groups.setdefault(first, []).append(int(row))
        for taint, rows in groups.items():
            nodes = np.zeros_like(rejected)
            nodes[rows] = True
            yield f"node(s) had untolerated taint {{{taint.key}: {taint.value}}}", nodes

    def score(self, cluster: Columns, pod: PodInfo) -> Ints | None:
        soft: Ints | None = None
        for _, nodes in self._untolerated(cluster, pod, ("PreferNoSchedule",)):
            soft = nodes.astype(np.int64) if soft is None else soft + nodes
        return soft

    def normalise(self, raw: Ints, feasible: Mask) -> Ints:
        return scale_down(raw, feasible)
