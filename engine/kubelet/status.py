"""What a pod's status says, from what its node knows. Pure.

The words, the phases and the conditions are Kubernetes' (pkg/kubelet/kubelet_pods.go, getPhase;
pkg/kubelet/status/generate.go), because controllers, kubectl and people read them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.kubelet.qos import is_sidecar, qos_class
from engine.types import clock
from engine.types.containers import (
    Container,
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    ResourceRequirements,
)
from engine.types.pods import Pod, PodCondition, PodIP, PodStatus

SCHEME = "podarium://"
KILLED = 137
TERMINAL = ("Succeeded", "Failed")
LOST = "ContainerStatusUnknown"
LOST_TEXT = "The container could not be located when the pod was terminated"
UNKNOWN_TEXT = (
    "Its exit code is not known: the keeper that started it had died, and before Linux 6.15 nobody"
    " else is told"
)


@dataclass(slots=True)
class Life:
    """One run of a container, from its creation. Times are unix seconds."""

    id: str
    attempt: int
    started_at: float | None = None
    finished_at: float | None = None
    exit_code: int = 0
    reason: str = ""
    message: str = ""

    @property
    def running(self) -> bool:
        return self.finished_at is None


@dataclass(slots=True)
class Record:
    """All that is known of one container of a pod.

    `waiting` is why it does not run, as (reason, message); `last` is the life before `life`.
    `changed`: its image, or what it wants a new life for, was changed while it ran, so it starts
    again whatever the restart policy. `resources`: those in force since its present life began.
    """

    life: Life | None = None
    last: Life | None = None
    waiting: tuple[str, str] | None = None
    image_id: str = ""
    started: bool = False
    ready: bool = False
    changed: bool = False
    resources: ResourceRequirements | None = None

    @property
    def running(self) -> bool:
        return self.life is not None and self.life.running

    @property
    def ended(self) -> Life | None:
        """The present life, if it is over."""
        return self.life if self.life is not None and not self.life.running else None


@dataclass(slots=True)
class Facts:
    """What the pod's status says beside its containers."""

    node_ip: str = ""
    pod_ip: str = ""
    started_at: float = 0.0
    sandbox: bool = False
    # Set once and for good: the pod failed for a reason of its own, such as DeadlineExceeded.
    failure: tuple[str, str] | None = None
    # No container will be started any more.
    terminal: bool = False
    records: dict[str, Record] = field(default_factory=dict)


def pod_status(pod: Pod, facts: Facts, before: Sequence[PodCondition], now: float) -> PodStatus:
    """The whole status. `before` are the conditions last reported, whose times stay while they
    hold; conditions of others, such as readiness gates, are the pod's."""
    phase = "Failed" if facts.failure and _all_ended(facts) else pod_phase(pod, facts)
    final = facts.terminal or phase in TERMINAL
    init = [_status(c, facts, final, "ContainerCreating") for c in pod.spec.init_containers]
    first = "PodInitializing" if initializing(pod, facts.records) else "ContainerCreating"
    apps = [_status(c, facts, final, first) for c in pod.spec.containers]
    reason, message = facts.failure or ("", "")
    status = PodStatus(
        phase=phase,
        reason=reason,
        message=message,
        host_ip=facts.node_ip,
        host_ips=[PodIP(ip=facts.node_ip)],
        pod_ip=facts.pod_ip,
        pod_ips=[PodIP(ip=facts.pod_ip)] if facts.pod_ip else [],
        start_time=clock.format(facts.started_at),
        init_container_statuses=init,
        container_statuses=apps,
        qos_class=pod.status.qos_class or qos_class(pod),
        nominated_node_name=pod.status.nominated_node_name,
        ephemeral_container_statuses=[
            _status(c, facts, final, "ContainerCreating") for c in pod.spec.ephemeral_containers
        ],
    )
    status.conditions = _conditions(pod, status, facts, before, now)
    return status


def _status(container: Container, facts: Facts, final: bool, first: str) -> ContainerStatus:
    """`final`: nothing will be started again; `first`: what one waits for that was never tried."""
    record = facts.records.get(container.name) or Record()
    life = record.life
    status = ContainerStatus(
        name=container.name,
        image=container.image,
        image_id=record.image_id,
        container_id=_id(life) if life else "",
        restart_count=life.attempt if life else 0,
        ready=record.ready,
        started=record.started,
    )
    if record.running and record.resources is not None:
        status.resources = record.resources
        status.allocated_resources = record.resources.requests
    if record.last is not None:
        status.last_state = ContainerState(terminated=terminated(record.last))
    if life is not None and life.running:
        started = None if life.started_at is None else clock.format(life.started_at)
        status.state = ContainerState(running=ContainerStateRunning(started_at=started))
    elif record.waiting is not None and not (final and life is not None):
        reason, message = record.waiting
        status.state = ContainerState(waiting=ContainerStateWaiting(reason=reason, message=message))
        if life is not None:
            status.last_state = ContainerState(terminated=terminated(life))
    elif life is not None:
        status.state = ContainerState(terminated=terminated(life))
    else:
        status.state = ContainerState(waiting=ContainerStateWaiting(reason=first))
    return status


def terminated(life: Life) -> ContainerStateTerminated:
    return ContainerStateTerminated(
        exit_code=life.exit_code,
        reason=life.reason,
        message=life.message,
        started_at=None if life.started_at is None else clock.format(life.started_at),
        finished_at=None if life.finished_at is None else clock.format(life.finished_at),
        container_id=_id(life),
    )


def _id(life: Life) -> str:
    """Empty for a life that the runtime refused."""
    return SCHEME + life.id if life.id else ""


def restored(status: ContainerStatus, now: float) -> Record:
    """What a container's status tells of it, after a restart of the engine.

    One that ran is taken for lost, until the runtime shows that it lives.
    """
    count, state, last = status.restart_count, status.state, status.last_state.terminated
    record = Record(image_id=status.image_id, resources=status.resources)
    if state.terminated is not None:
        record.life = _life(state.terminated, count)
    elif state.running is not None:
        began = clock.parse(state.running.started_at) if state.running.started_at else None
        id = status.container_id.removeprefix(SCHEME)
        record.life = Life(id, count, began, now, KILLED, LOST, LOST_TEXT)
    elif last is not None:
        record.life, last = _life(last, count), None
    if state.waiting is not None and record.life is not None:
        record.waiting = (state.waiting.reason, state.waiting.message)
    record.last = _life(last, max(0, count - 1)) if last is not None else None
    return record


def _life(ended: ContainerStateTerminated, attempt: int) -> Life:
    return Life(
        ended.container_id.removeprefix(SCHEME),
        attempt,
        clock.parse(ended.started_at) if ended.started_at else None,
        clock.parse(ended.finished_at) if ended.finished_at else 0.0,
        ended.exit_code,
        ended.reason,
        ended.message,
    )


def initializing(pod: Pod, records: Mapping[str, Record]) -> list[str]:
    """The init containers that are not done: not completed, or as a sidecar not started."""
    return [c.name for c in pod.spec.init_containers if not _initialized(c, records.get(c.name))]


def _initialized(container: Container, record: Record | None) -> bool:
    if record is None:
        return False
    if is_sidecar(container):
        return record.started
    return record.ended is not None and record.ended.exit_code == 0


def pod_phase(pod: Pod, facts: Facts) -> str:
    """Pending, Running, Succeeded or Failed."""
    records, policy = facts.records, pod.spec.restart_policy or "Always"
    init = [records.get(c.name) or Record() for c in pod.spec.init_containers if not is_sidecar(c)]
    if policy == "Never" and any(r.ended and r.ended.exit_code for r in init):
        return "Failed"
    apps = [records.get(c.name) or Record() for c in pod.spec.containers]
    never_ran = any(r.life is None and r.last is None for r in apps)
    if never_ran or (initializing(pod, records) and not any(r.life for r in apps)):
        if facts.terminal and _all_ended(facts):
            return "Failed"
        return "Pending"
    if any(record.running for record in records.values()):
        return "Running"
    succeeded = all(r.ended and r.ended.exit_code == 0 for r in apps)
    if facts.terminal:
        return "Succeeded" if succeeded else "Failed"
    if policy == "Always":
        return "Running"
    if succeeded:
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def _all_ended(facts: Facts) -> bool:
    return not any(record.running for record in facts.records.values())


def _conditions(
    pod: Pod, status: PodStatus, facts: Facts, before: Sequence[PodCondition], now: float
) -> list[PodCondition]:
    ready_to_start = facts.sandbox and status.phase not in TERMINAL
    containers = _containers_ready(pod, status)
    wanted = {
        "PodReadyToStartContainers": (ready_to_start, "", ""),
        "Initialized": _initialized_condition(pod, status, facts),
        "Ready": _ready(pod, containers),
        "ContainersReady": containers,
        "PodScheduled": (True, "", ""),
    }
    if facts.failure and facts.failure[0] == "Evicted":
        wanted["DisruptionTarget"] = (True, "TerminationByKubelet", facts.failure[1])
    known = {condition.type: condition for condition in before}
    result = [_condition(kind, *value, known.get(kind), now) for kind, value in wanted.items()]
    return result + [c for c in pod.status.conditions if c.type not in wanted]


def _condition(
    kind: str, true: bool, reason: str, message: str, before: PodCondition | None, now: float
) -> PodCondition:
    value = "True" if true else "False"
    since = before.last_transition_time if before and before.status == value else None
    return PodCondition(
        type=kind,
        status=value,
        reason=reason,
        message=message,
        last_transition_time=since or clock.format(now),
    )


def _initialized_condition(pod: Pod, status: PodStatus, facts: Facts) -> tuple[bool, str, str]:
    if status.phase == "Succeeded":
        return True, "PodCompleted", ""
    pending = initializing(pod, facts.records)
    if not pending or any(r.life for r in _apps(pod, facts)):
        return True, "", ""
    text = f"containers with incomplete status: [{' '.join(pending)}]"
    return False, "ContainersNotInitialized", text


def _apps(pod: Pod, facts: Facts) -> Sequence[Record]:
    return [facts.records.get(c.name) or Record() for c in pod.spec.containers]


def _containers_ready(pod: Pod, status: PodStatus) -> tuple[bool, str, str]:
    if status.phase in TERMINAL:
        return False, "PodCompleted" if status.phase == "Succeeded" else "PodFailed", ""
    sidecars = {c.name for c in pod.spec.init_containers if is_sidecar(c)}
    counted = [s for s in status.init_container_statuses if s.name in sidecars]
    unready = [s.name for s in (*counted, *status.container_statuses) if not s.ready]
    if unready:
        return False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
    return True, "", ""


def _ready(pod: Pod, containers: tuple[bool, str, str]) -> tuple[bool, str, str]:
    if not containers[0]:
        return containers
    known = {c.type: c.status for c in pod.status.conditions}
    missing = [
        f'corresponding condition of pod readiness gate "{gate.condition_type}" does not exist.'
        if gate.condition_type not in known
        else f'the status of pod readiness gate "{gate.condition_type}" is not "True",'
        f" but {known[gate.condition_type]}"
        for gate in pod.spec.readiness_gates
        if known.get(gate.condition_type) != "True"
    ]
    return (False, "ReadinessGatesNotReady", ", ".join(missing)) if missing else (True, "", "")


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386): members that differ, and reasons that are over."""
    changed = {key: value for key, value in after.items() if before.get(key) != value}
    over = [key for key in ("reason", "message") if key in before and key not in after]
    return changed | dict.fromkeys(over)
