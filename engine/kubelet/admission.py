"""Whether a pod that is bound to this node fits on it. Pure.

The scheduler has seen to that, unless the pod named its node itself, or two decisions crossed. What
does not fit fails for good, so that whoever made the pod can make another one elsewhere.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from engine.kubelet.qos import pod_requests
from engine.types.pods import Pod


@dataclass(frozen=True, slots=True)
class Room:
    """What a node has: millicores, bytes, pods."""

    milli: int
    memory: int
    pods: int


def rejection(pod: Pod, others: Iterable[Pod], room: Room) -> tuple[str, str] | None:
    """(reason, message) when `pod` does not fit beside the `others`; None when it does."""
    others = list(others)
    cpu, memory = pod_requests(pod)
    used = [pod_requests(other) for other in others]
    for name, asked, taken, capacity in (
        ("cpu", cpu, sum(each[0] for each in used), room.milli),
        ("memory", memory, sum(each[1] for each in used), room.memory),
        ("pods", 1, len(others), room.pods),
    ):
        if asked and taken + asked > capacity:
            return (
                f"OutOf{name}",
                f"Pod was rejected: Node didn't have enough resource: {name},"
                f" requested: {asked}, used: {taken}, capacity: {capacity}",
            )
    return None
