"""A pod in one line, in kubectl's words: 1/1 Running, 0/1 CrashLoopBackOff, Init:1/2, Terminating.

The rules are those of printPod in Kubernetes' printers: earlier containers win over later ones,
init containers over containers, and deletion over everything.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.types import clock
from engine.types.containers import Container, ContainerStateTerminated, ContainerStatus
from engine.types.pods import Pod

NODE_UNREACHABLE = "NodeLost"


@dataclass(frozen=True, slots=True)
class PodSummary:
    """What `kubectl get pods` prints of a pod."""

    ready: int
    total: int
    status: str
    restarts: int
    last_restart: str | None
    """When a container last ended before it was started again (RFC 3339)."""

    def restarts_text(self, now: float | None = None) -> str:
        """ "2 (3m ago)", "0"; `now` is seconds since 1970."""
        if self.restarts and self.last_restart:
            return f"{self.restarts} ({clock.age(self.last_restart, now)} ago)"
        return str(self.restarts)


def pod_summary(pod: Pod) -> PodSummary:
    """Summarise a pod."""
    status = pod.status.reason or pod.status.phase
    gate = next((c for c in pod.status.conditions if c.type == "PodScheduled"), None)
    if gate is not None and gate.reason == "SchedulingGated":
        status = gate.reason

    sidecars = {c.name for c in pod.spec.init_containers if is_sidecar(c)}
    total = len(pod.spec.containers) + len(sidecars)
    ready, restarts, sidecar_restarts = 0, 0, 0
    ends: list[str] = []
    sidecar_ends: list[str] = []

    initializing = False
    for index, each in enumerate(pod.status.init_container_statuses):
        restarts += each.restart_count
        _note_end(each, ends)
        if each.name in sidecars:
            sidecar_restarts += each.restart_count
            _note_end(each, sidecar_ends)
        words = _init_status(each, each.name in sidecars, index, len(pod.spec.init_containers))
        if words is None:
            if each.name in sidecars and each.ready:
                ready += 1
            continue
        status, initializing = words, True
        break

    if not initializing or _initialized(pod):
        # Init containers that ended are history: only sidecars still count as restarts.
        restarts, ends = sidecar_restarts, sidecar_ends
        has_running = False
        for each in reversed(pod.status.container_statuses):
            restarts += each.restart_count
            _note_end(each, ends)
            state = each.state
            if state.waiting is not None and state.waiting.reason:
                status = state.waiting.reason
            elif state.terminated is not None:
                status = _ended(state.terminated)
            elif each.ready and state.running is not None:
                has_running = True
                ready += 1
        if status == "Completed" and has_running:
            status = "Running" if _condition(pod, "Ready") else "NotReady"

    if pod.metadata.deletion_timestamp:
        if pod.status.reason == NODE_UNREACHABLE:
            status = "Unknown"
        elif pod.status.phase not in ("Succeeded", "Failed"):
            status = "Terminating"
    last = max(ends, key=clock.parse, default=None)
    return PodSummary(ready, total, status, restarts, last)


def is_sidecar(container: Container) -> bool:
    """Whether an init container runs beside the containers (restartPolicy: Always)."""
    return container.restart_policy == "Always"


def _init_status(each: ContainerStatus, sidecar: bool, index: int, total: int) -> str | None:
    """What an init container says of the pod; None when the next one may be asked."""
    terminated, waiting = each.state.terminated, each.state.waiting
    if terminated is not None:
        if terminated.exit_code == 0:
            return None
        return "Init:" + _ended(terminated)
    if sidecar and each.started:
        return None
    if waiting is not None and waiting.reason and waiting.reason != "PodInitializing":
        return "Init:" + waiting.reason
    return f"Init:{index}/{total}"


def _ended(terminated: ContainerStateTerminated) -> str:
    if terminated.reason:
        return terminated.reason
    if terminated.signal:
        return f"Signal:{terminated.signal}"
    return f"ExitCode:{terminated.exit_code}"


def _note_end(each: ContainerStatus, ends: list[str]) -> None:
    terminated = each.last_state.terminated
    if terminated is not None and terminated.finished_at:
        ends.append(terminated.finished_at)


def _initialized(pod: Pod) -> bool:
    """Whether the init containers have run once; a later failure of one hides no container."""
    return _condition(pod, "Initialized")


def _condition(pod: Pod, kind: str) -> bool:
    return any(c.type == kind and c.status == "True" for c in pod.status.conditions)
