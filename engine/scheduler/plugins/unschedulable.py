"""NodeUnschedulable: a cordoned node takes no new pods, unless they tolerate the cordon."""

from collections.abc import Iterator

from engine.scheduler.columns import Columns, Mask
from engine.scheduler.event import Change
from engine.scheduler.node import TaintKey
from engine.scheduler.plugins.base import Plugin
from engine.scheduler.plugins.taints import tolerated
from engine.scheduler.pod import PodInfo

CORDON = TaintKey("node.kubernetes.io/unschedulable", "", "NoSchedule")


class NodeUnschedulable(Plugin):
    name = "NodeUnschedulable"
    static = True
    helped_by = Change.NODE_ADDED | Change.NODE_CORDON

    def mask(self, cluster: Columns, pod: PodInfo) -> Mask | None:
        if not cluster.cordoned.any() or tolerated(CORDON, pod.tolerations):
            return None
        return ~cluster.cordoned

    def reasons(self, cluster: Columns, pod: PodInfo, rejected: Mask) -> Iterator[tuple[str, Mask]]:
        yield "node(s) were unschedulable", rejected
