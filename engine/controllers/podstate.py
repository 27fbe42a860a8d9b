"""What controllers ask about a pod. Pure functions of the pod and the time (unix seconds)."""

from collections import Counter
from collections.abc import Iterable, Sequence

from engine.types.clock import parse
from engine.types.pods import Pod, PodCondition

PHASE_ORDER = {"Pending": 0, "": 0, "Unknown": 1, "Running": 2}
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def is_active(pod: Pod) -> bool:
    """Neither ended nor ending."""
    return not is_finished(pod) and pod.metadata.deletion_timestamp is None


def is_finished(pod: Pod) -> bool:
    """All its containers ended for good."""
    return pod.status.phase in ("Succeeded", "Failed")


def condition(pod: Pod, type_: str) -> PodCondition | None:
    """The condition of a type, if it is there."""
    return next((c for c in pod.status.conditions if c.type == type_), None)


def is_ready(pod: Pod) -> bool:
    """Its Ready condition is True."""
    ready = condition(pod, "Ready")
    return ready is not None and ready.status == "True"


def available_at(pod: Pod, min_ready_seconds: int) -> float | None:
    """When a ready pod counts as available, in unix seconds; None while it is not ready."""
    ready = condition(pod, "Ready")
    if ready is None or ready.status != "True":
        return None
    if min_ready_seconds == 0:
        return 0.0
    if not ready.last_transition_time:
        return None
    return parse(ready.last_transition_time) + min_ready_seconds


def restarts(pod: Pod) -> int:
    """How often its containers were restarted in sum."""
    return sum(s.restart_count for s in pod.status.container_statuses)


def deletion_order(pods: Iterable[Pod], related: Sequence[Pod]) -> list[Pod]:
    """Pods in the order in which a smaller replica set gives them up (kube's ActivePodsWithRanks).

    First those without a node, then by phase, not ready, cheaper, on nodes with more `related`
    pods, ready for less time, restarted more often, and younger.
    """
    per_node = Counter(p.spec.node_name for p in related if is_active(p))

    def rank(pod: Pod) -> tuple[bool, int, bool, int, int, float, int, float, str]:
        ready = condition(pod, "Ready")
        since = ready.last_transition_time if ready and ready.status == "True" else None
        created = pod.metadata.creation_timestamp
        return (
            bool(pod.spec.node_name),
            PHASE_ORDER.get(pod.status.phase, 0),
            is_ready(pod),
            _deletion_cost(pod),
            -per_node[pod.spec.node_name],
            -parse(since) if since else 0.0,
            -restarts(pod),
            -parse(created) if created else 0.0,
            pod.metadata.uid,
        )

    return sorted(pods, key=rank)


def _deletion_cost(pod: Pod) -> int:
    try:
        return int(pod.metadata.annotations.get(DELETION_COST, "0"))
    except ValueError:
        return 0
