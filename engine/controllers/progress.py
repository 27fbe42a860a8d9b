"""What a deployment reports: its numbers, and whether it is available and getting on. Pure.

Reasons and messages are Kubernetes' own: `kubectl rollout status` and every dashboard read them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.controllers.revision import Family
from engine.controllers.rollout import limits, total, wanted
from engine.types.apps import Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet
from engine.types.clock import format, parse
from engine.types.codec import clone

NO_DEADLINE = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Notice:
    """A condition to be set."""

    type: str
    status: str
    reason: str
    message: str


def numbers(deployment: Deployment, sets: Family, now: float) -> DeploymentStatus:
    """The status without any news about progress: sums over the replica sets, and Available."""
    new = sets.new
    available = sum(rs.status.available_replicas for rs in sets.all)
    status = DeploymentStatus(
        observed_generation=deployment.metadata.generation,
        replicas=sum(rs.status.replicas for rs in sets.all),
        updated_replicas=new.status.replicas if new else 0,
        ready_replicas=sum(rs.status.ready_replicas for rs in sets.all),
        available_replicas=available,
        unavailable_replicas=max(total(sets.all) - available, 0),
        collision_count=deployment.status.collision_count,
        conditions=[clone(c) for c in deployment.status.conditions],
    )
    if available >= limits(deployment).least_available:
        text = "Deployment has minimum availability."
        set_condition(status, Notice("Available", "True", "MinimumReplicasAvailable", text), now)
    else:
        text = "Deployment does not have minimum availability."
        set_condition(status, Notice("Available", "False", "MinimumReplicasUnavailable", text), now)
    return status


def find(status: DeploymentStatus, type_: str) -> DeploymentCondition | None:
    """The condition of a type, if it is there."""
    return next((c for c in status.conditions if c.type == type_), None)


def set_condition(status: DeploymentStatus, notice: Notice, now: float) -> None:
    """Set a condition; the same status and reason again leave it and its times alone."""
    before = find(status, notice.type)
    if before and (before.status, before.reason) == (notice.status, notice.reason):
        return
    same_status = before is not None and before.status == notice.status
    moment = format(now)
    condition = DeploymentCondition(
        type=notice.type,
        status=notice.status,
        reason=notice.reason,
        message=notice.message,
        last_update_time=moment,
        last_transition_time=before.last_transition_time if before and same_status else moment,
    )
    status.conditions = [c for c in status.conditions if c.type != notice.type] + [condition]


def has_deadline(deployment: Deployment) -> bool:
    """Whether the deployment wants its progress watched."""
    seconds = deployment.spec.progress_deadline_seconds
    return seconds is not None and seconds != NO_DEADLINE


def is_complete(deployment: Deployment, status: DeploymentStatus) -> bool:
    """Every pod is of the new template and available, and there are no others."""
    replicas = wanted(deployment.spec.replicas)
    return (
        status.updated_replicas == replicas
        and status.replicas == replicas
        and status.available_replicas == replicas
        and status.observed_generation >= deployment.metadata.generation
    )


def _got_on(old: DeploymentStatus, new: DeploymentStatus) -> bool:
    return (
        new.updated_replicas > old.updated_replicas
        or new.replicas - new.updated_replicas < old.replicas - old.updated_replicas
        or new.ready_replicas > old.ready_replicas
        or new.available_replicas > old.available_replicas
    )


def _overdue(deployment: Deployment, status: DeploymentStatus, now: float) -> bool:
    progressing = find(status, "Progressing")
    if progressing is None or progressing.reason == "NewReplicaSetAvailable":
        return False
    if progressing.reason == "ProgressDeadlineExceeded":
        return True
    since = progressing.last_update_time or progressing.last_transition_time
    deadline = deployment.spec.progress_deadline_seconds or 0
    return since is not None and parse(since) + deadline < now


def report_progress(
    deployment: Deployment, status: DeploymentStatus, sets: Family, now: float
) -> None:
    """Put the Progressing and ReplicaFailure conditions into a new status."""
    progressing = find(deployment.status, "Progressing")
    done_before = (
        status.replicas == status.updated_replicas
        and progressing is not None
        and progressing.reason == "NewReplicaSetAvailable"
    )
    if has_deadline(deployment) and not done_before:
        subject = (
            f'ReplicaSet "{sets.new.metadata.name}"'
            if sets.new
            else f'Deployment "{deployment.metadata.name}"'
        )
        _set_progressing(deployment, status, subject, now)
    failure = _replica_failure(sets.all)
    if failure is not None:
        set_condition(status, failure, now)
    else:
        status.conditions = [c for c in status.conditions if c.type != "ReplicaFailure"]


def _set_progressing(
    deployment: Deployment, status: DeploymentStatus, subject: str, now: float
) -> None:
    if is_complete(deployment, status):
        text = f"{subject} has successfully progressed."
        set_condition(status, Notice("Progressing", "True", "NewReplicaSetAvailable", text), now)
    elif _got_on(deployment.status, status):
        before = find(status, "Progressing")
        since = before.last_transition_time if before and before.status == "True" else format(now)
        # Every step forward restarts the deadline, so the time of update is always set anew.
        status.conditions = [c for c in status.conditions if c.type != "Progressing"]
        text = f"{subject} is progressing."
        set_condition(status, Notice("Progressing", "True", "ReplicaSetUpdated", text), now)
        status.conditions[-1].last_transition_time = since
    elif _overdue(deployment, status, now):
        text = f"{subject} has timed out progressing."
        notice = Notice("Progressing", "False", "ProgressDeadlineExceeded", text)
        set_condition(status, notice, now)


def _replica_failure(replica_sets: Sequence[ReplicaSet]) -> Notice | None:
    for replica_set in reversed(replica_sets):
        for condition in replica_set.status.conditions:
            if condition.type == "ReplicaFailure":
                return Notice(condition.type, condition.status, condition.reason, condition.message)
    return None


def seconds_to_deadline(
    deployment: Deployment, status: DeploymentStatus, now: float
) -> float | None:
    """When to look whether the rollout is stuck; None when there is nothing to wait for."""
    progressing = find(status, "Progressing")
    if not has_deadline(deployment) or progressing is None:
        return None
    if is_complete(deployment, status) or progressing.reason in (
        "NewReplicaSetAvailable",
        "ProgressDeadlineExceeded",
    ):
        return None
    since = progressing.last_update_time
    if since is None:
        return None
    # Times are kept in whole seconds, so one more second makes sure that the deadline is over.
    return parse(since) + (deployment.spec.progress_deadline_seconds or 0) - now + 1
