"""What happened in the cluster, said so that a plugin can tell whether a waiting pod may now fit.

An event never decides anything: it only moves a pod back to the queue, where a full cycle decides.
"""

import enum
from dataclasses import dataclass

from engine.scheduler.pod import PodInfo


class Change(enum.Flag):
    """What changed; a node event may carry several."""

    NODE_ADDED = enum.auto()
    NODE_ALLOCATABLE = enum.auto()
    NODE_LABELS = enum.auto()
    NODE_TAINTS = enum.auto()
    NODE_CORDON = enum.auto()
    NODE_GONE = enum.auto()
    POD_PLACED = enum.auto()
    POD_LABELS = enum.auto()
    POD_GONE = enum.auto()


@dataclass(frozen=True, slots=True)
class Event:
    """One change, with the node it is about and, for pod events, the pod."""

    change: Change
    node: str
    pod: PodInfo | None = None
