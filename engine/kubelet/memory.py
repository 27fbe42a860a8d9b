"""Memory, seen each second: processes that the kernel ends in containers that go on, and a node
that runs out of it, which ends a pod before the kernel ends whatever it likes.

The rules are the kubelet's (pkg/kubelet/eviction): a threshold on what the node has left, and of
its pods first those that use more than they asked for, then the least important, then the largest.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.kubelet import qos
from engine.types import quantity
from engine.types.containers import Container
from engine.types.pods import Pod
from engine.types.stats import ContainerSample

EVICTED = "Evicted"
CRITICAL = 2_000_000_000
"""Kubernetes' system pods have this priority or more, and are never evicted."""
# memory.available<100Mi is Kubernetes' default, for nodes far larger than ours.
_THRESHOLD, _SHARE = 100 << 20, 10
# Kubernetes waits five minutes; here who looks on is a person.
PRESSURE_S = 30.0


def threshold(capacity: int) -> int:
    """Bytes that a node must have available: a tenth of a small one."""
    return min(_THRESHOLD, capacity // _SHARE)


def rejection(pod: Pod) -> tuple[str, str] | None:
    """(reason, message) for a pod that a node under pressure does not take: one that has not said
    how much it needs."""
    if qos.qos_class(pod) != "BestEffort" or (pod.spec.priority or 0) >= CRITICAL:
        return None
    return EVICTED, "The node had condition: [MemoryPressure]. "


@dataclass(frozen=True)
class Usage:
    """What a pod uses: working sets in bytes, of each container by name."""

    pod: Pod
    containers: Mapping[str, int]

    @property
    def whole(self) -> int:
        return sum(self.containers.values())

    @property
    def over(self) -> int:
        """How much more than it has asked for; negative for less."""
        return self.whole - qos.pod_requests(self.pod)[1]


def victim(pods: Iterable[Usage]) -> Usage | None:
    """The pod to end; None when there is none that may be."""
    mortal = [each for each in pods if each.whole and (each.pod.spec.priority or 0) < CRITICAL]
    return min(
        mortal,
        key=lambda each: (each.over <= 0, each.pod.spec.priority or 0, -each.over),
        default=None,
    )


def message(usage: Usage, wanted: int, available: int) -> str:
    """Why, in the kubelet's words."""
    text = (
        "The node was low on resource: memory. Threshold quantity:"
        f" {quantity.format_bytes(wanted)}, available: {available // 1024}Ki. "
    )
    for container in usage.pod.spec.containers:
        used, asked = usage.containers.get(container.name, 0), _request(container)
        if used > asked:
            text += (
                f"Container {container.name} was using {used // 1024}Ki, request is"
                f" {quantity.format_bytes(asked)}, has larger consumption of memory. "
            )
    return text


def _request(container: Container) -> int:
    return quantity.bytes_(container.resources.requests.get("memory", 0))


class Pressure:
    """Whether a node is low on memory, and was a moment ago."""

    def __init__(self, capacity: int) -> None:
        self.threshold = threshold(capacity)
        self._capacity = capacity
        self._last: float | None = None

    def available(self, used: int) -> int:
        return max(0, self._capacity - used)

    def saw(self, used: int, now: float) -> bool:
        """Note what is in use; whether something must be done."""
        low = self.available(used) < self.threshold
        if low:
            self._last = now
        return low

    def lasts(self, now: float) -> bool:
        """Whether the node is to say that it is under pressure."""
        return self._last is not None and now - self._last < PRESSURE_S


class Kills:
    """Processes that the kernel has ended for memory, by container."""

    def __init__(self) -> None:
        self._seen: dict[str, int] | None = None

    def new(self, containers: Mapping[str, ContainerSample]) -> dict[str, int]:
        """How many more there are, by the sample's key. What was before the first look is not."""
        before, self._seen = self._seen, {key: each.oom_kills for key, each in containers.items()}
        if before is None:
            return {}
        # A new life of a container counts from nothing.
        more = {
            key: kills - before.get(key, 0) if kills >= before.get(key, 0) else kills
            for key, kills in self._seen.items()
        }
        return {key: count for key, count in more.items() if count}
