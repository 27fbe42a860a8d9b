"""NodeName: a pod that names its node runs there or nowhere."""

from collections.abc import Iterator

from engine.scheduler.columns import Columns, Mask
from engine.scheduler.event import Change
from engine.scheduler.plugins.base import Plugin
from engine.scheduler.pod import PodInfo


class NodeName(Plugin):
    name = "NodeName"
    static = True
    helped_by = Change.NODE_ADDED

    def mask(self, cluster: Columns, pod: PodInfo) -> Mask | None:
        wanted = pod.node_name
        if not wanted:
            return None
        return cluster.where(("name", wanted), lambda node: node.name == wanted)

    def reasons(self, cluster: Columns, pod: PodInfo, rejected: Mask) -> Iterator[tuple[str, Mask]]:
        yield "node(s) didn't match the requested node name", rejected
