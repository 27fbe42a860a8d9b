"""What the scheduler knows of a node: only what the node declares, in the units of the columns."""

from dataclasses import dataclass
from typing import NamedTuple

from engine.scheduler.event import Change
from engine.scheduler.pod import amount
from engine.types.nodes import Node


class TaintKey(NamedTuple):
    """A taint without its time."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A node's declarations. `allocatable` is in millicores, bytes and units."""

    name: str
    labels: dict[str, str]
    taints: tuple[TaintKey, ...]
    cordoned: bool
    allocatable: dict[str, int]

    @classmethod
    def of(cls, node: Node) -> "NodeInfo":
        """Read a node object. Without a status nothing is allocatable, so nothing fits."""
        return cls(
            name=node.metadata.name,
            labels=dict(node.metadata.labels),
            taints=tuple(TaintKey(t.key, t.value, t.effect) for t in node.spec.taints),
            cordoned=node.spec.unschedulable,
            allocatable={
                name: amount(name, text) for name, text in node.status.allocatable.items()
            },
        )

    def difference(self, old: "NodeInfo") -> Change:
        """Which declarations differ from an older state of the same node."""
        change = Change(0)
        if self.allocatable != old.allocatable:
            change |= Change.NODE_ALLOCATABLE
        if self.labels != old.labels:
            change |= Change.NODE_LABELS
        if self.taints != old.taints:
            change |= Change.NODE_TAINTS
        if self.cordoned != old.cordoned:
            change |= Change.NODE_CORDON
        return change
