"""NodePorts: a host port is held by one pod of a node at a time."""

from collections.abc import Iterator

import numpy as np

from engine.scheduler.columns import Columns, Mask
from engine.scheduler.event import Change, Event
from engine.scheduler.plugins.base import Plugin
from engine.scheduler.pod import PodInfo


class NodePorts(Plugin):
    name = "NodePorts"
    helped_by = Change.NODE_ADDED | Change.POD_GONE

    def mask(self, cluster: Columns, pod: PodInfo) -> Mask | None:
        if not pod.host_ports:
            return None
        taken: Mask = np.zeros(cluster.rows, np.bool_)
        for port in pod.host_ports:
            taken |= cluster.ports_taken(port)
        return ~taken

    def reasons(self, cluster: Columns, pod: PodInfo, rejected: Mask) -> Iterator[tuple[str, Mask]]:
        yield "node(s) didn't have free ports for the requested pod ports", rejected

    def helps(self, event: Event, pod: PodInfo) -> bool:
        if event.change & Change.POD_GONE and event.pod is not None:
            return bool(event.pod.host_ports)
        return super().helps(event, pod)
