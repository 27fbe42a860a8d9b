"""When the demo has shown all it has: every state a pod can be in is on screen."""

from __future__ import annotations

from collections.abc import Iterable

from engine.types.pods import Pod
from engine.types.podstatus import pod_summary


def settled(pods: Iterable[Pod]) -> bool:
    """True once what serves is Ready, the job is done, the leak was killed for its memory at least
    once, and the giant is known to fit nowhere."""
    by_app: dict[str, list[Pod]] = {}
    for pod in pods:
        by_app.setdefault(pod.metadata.labels.get("app", ""), []).append(pod)
    return (
        all(_ready(by_app.get(app, []), count) for app, count in SERVING.items())
        and any(_killed_for_memory(pod) for pod in by_app.get("leak", []))
        and sum(pod.status.phase == "Succeeded" for pod in by_app.get("batch", [])) == BATCHES
        and any(_unschedulable(pod) for pod in by_app.get("giant", []))
    )


SERVING = {"web": 3, "wave": 2, "breathe": 1}
BATCHES = 3


def _ready(pods: list[Pod], count: int) -> bool:
    summaries = [pod_summary(pod) for pod in pods]
    return sum(each.status == "Running" and each.ready == each.total for each in summaries) == count


def _killed_for_memory(pod: Pod) -> bool:
    ends = (container.last_state.terminated for container in pod.status.container_statuses)
    return any(end is not None and end.reason == "OOMKilled" for end in ends)


def _unschedulable(pod: Pod) -> bool:
    return any(
        condition.type == "PodScheduled" and condition.reason == "Unschedulable"
        for condition in pod.status.conditions
    )
