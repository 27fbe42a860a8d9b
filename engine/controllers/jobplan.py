"""What a job should do next, from its pods and the time. Pure.

Invariants: never more active pods than parallelism, nor than successes still missing; a job that
has failed or completed makes no pod. Counts never go down, so a finished pod that is removed does
not undo what the job has achieved.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from engine.controllers.podstate import deletion_order, is_active, is_ready, restarts
from engine.controllers.rollout import wanted
from engine.types.batch import Job, JobCondition, JobStatus
from engine.types.clock import format, parse
from engine.types.codec import clone
from engine.types.pods import Pod

INDEX = "batch.kubernetes.io/job-completion-index"
FIRST_BACKOFF = 10.0
LONGEST_BACKOFF = 600.0
DEFAULT_BACKOFF_LIMIT = 6


@dataclass(slots=True)
class JobPlan:
    """What to do: pods to make (their completion indexes, None without), pods to delete, the status
    to report, events to record (type, reason, message), and when to look again (seconds)."""

    status: JobStatus
    create: list[int | None] = field(default_factory=list)
    delete: list[Pod] = field(default_factory=list)
    events: list[tuple[str, str, str]] = field(default_factory=list)
    after: float | None = None

    def look_in(self, seconds: float) -> None:
        """Look again in so many seconds, or sooner if something else asks for it."""
        self.after = seconds if self.after is None else min(self.after, seconds)


def finished(job: Job) -> JobCondition | None:
    """The condition that says how the job ended; None while it goes on."""
    ends = (c for c in job.status.conditions if c.type in ("Complete", "Failed"))
    return next((c for c in ends if c.status == "True"), None)


def plan(job: Job, pods: Sequence[Pod], now: float) -> JobPlan:
    """Decide for a job that has not ended yet."""
    active = [pod for pod in pods if is_active(pod)]
    steps = JobPlan(_count(job, pods, active))
    if job.spec.suspend:
        _suspend(steps, active, now)
        return steps
    _resume(job, steps, now)
    failure = _failure(job, steps.status, active, now)
    if failure is not None:
        _end(steps, active, "Failed", failure, now)
    elif _complete(job, steps.status, active):
        text = "Reached expected number of succeeded pods"
        _end(steps, active, "Complete", ("CompletionsReached", text), now)
    else:
        _balance(job, steps, pods, active, now)
    return steps


def _count(job: Job, pods: Sequence[Pod], active: Sequence[Pod]) -> JobStatus:
    before = job.status
    succeeded = sum(pod.status.phase == "Succeeded" for pod in pods)
    failed = sum(_has_failed(pod) for pod in pods)
    status = clone(before)
    status.active = len(active)
    status.ready = sum(map(is_ready, active))
    status.terminating = sum(
        pod.metadata.deletion_timestamp is not None
        and pod.status.phase not in ("Succeeded", "Failed")
        for pod in pods
    )
    status.succeeded = max(succeeded, before.succeeded)
    status.failed = max(failed, before.failed)
    if job.spec.completion_mode == "Indexed":
        done = completed_indexes(job, pods)
        status.succeeded = len(done)
        status.completed_indexes = format_indexes(done)
    return status


def _has_failed(pod: Pod) -> bool:
    """Only what ended by itself: a pod that someone, or a smaller parallelism, takes away is made
    again, and does not bring the job nearer to its end."""
    return pod.status.phase == "Failed" and pod.metadata.deletion_timestamp is None


def _suspend(steps: JobPlan, active: list[Pod], now: float) -> None:
    steps.delete = active
    if set_condition(steps.status, "Suspended", "True", "JobSuspended", "Job suspended", now):
        steps.events.append(("Normal", "Suspended", "Job suspended"))
    steps.status.start_time = None


def _resume(job: Job, steps: JobPlan, now: float) -> None:
    suspended = next((c for c in job.status.conditions if c.type == "Suspended"), None)
    if suspended is not None and suspended.status == "True":
        set_condition(steps.status, "Suspended", "False", "JobResumed", "Job resumed", now)
        steps.events.append(("Normal", "Resumed", "Job resumed"))
    if steps.status.start_time is None:
        steps.status.start_time = format(now)
    deadline = job.spec.active_deadline_seconds
    if deadline is not None:
        steps.look_in(parse(steps.status.start_time) + deadline - now)


def _failure(
    job: Job, status: JobStatus, active: Sequence[Pod], now: float
) -> tuple[str, str] | None:
    limit = job.spec.backoff_limit
    limit = DEFAULT_BACKOFF_LIMIT if limit is None else limit
    restarted = 0
    if job.spec.template.spec.restart_policy == "OnFailure":
        restarted = sum(map(restarts, active))
    if status.failed > limit or (restarted >= limit if limit else restarted > 0):
        return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    deadline = job.spec.active_deadline_seconds
    if deadline is not None and status.start_time and now - parse(status.start_time) >= deadline:
        return "DeadlineExceeded", "Job was active longer than specified deadline"
    return None


def _complete(job: Job, status: JobStatus, active: Sequence[Pod]) -> bool:
    if job.spec.completions is None:
        # A queue of work: the first success says that there is none left; the others may finish.
        return status.succeeded > 0 and not active
    return status.succeeded >= job.spec.completions


def _end(steps: JobPlan, active: list[Pod], type_: str, why: tuple[str, str], now: float) -> None:
    reason, message = why
    status = steps.status
    steps.delete = active
    status.active, status.ready = 0, 0
    first = "SuccessCriteriaMet" if type_ == "Complete" else "FailureTarget"
    for each in (first, type_):
        set_condition(status, each, "True", reason, message, now)
    if type_ == "Complete":
        status.completion_time = format(now)
        steps.events.append(("Normal", "Completed", "Job completed"))
    else:
        steps.events.append(("Warning", reason, message))
    steps.after = None


def set_condition(
    status: JobStatus, type_: str, value: str, reason: str, message: str, now: float
) -> bool:
    """Set a condition; returns whether its value changed."""
    before = next((c for c in status.conditions if c.type == type_), None)
    if before is not None and before.status == value:
        return False
    moment = format(now)
    condition = JobCondition(
        type=type_,
        status=value,
        reason=reason,
        message=message,
        last_probe_time=moment,
        last_transition_time=moment,
    )
    status.conditions = [c for c in status.conditions if c.type != type_] + [condition]
    return True


def _balance(job: Job, steps: JobPlan, pods: Sequence[Pod], active: list[Pod], now: float) -> None:
    target = wanted(job.spec.parallelism)
    if job.spec.completions is not None:
        target = min(target, job.spec.completions - steps.status.succeeded)
    elif steps.status.succeeded:
        target = min(target, len(active))
    surplus = len(active) - target
    if surplus > 0:
        steps.delete = deletion_order(active, active)[:surplus]
    elif surplus < 0:
        wait = backoff_left(pods, now)
        if wait > 0:
            steps.look_in(wait)
        elif job.spec.completion_mode == "Indexed":
            steps.create = [*_free_indexes(job, pods, active)][:-surplus]
        else:
            steps.create = [None] * -surplus


def backoff_left(pods: Iterable[Pod], now: float) -> float:
    """Seconds until the next pod may be made: 10 s, doubled by each failure since a success, at
    most 10 minutes, from the last failure on."""
    failures, last = 0, 0.0
    for ended, pod in sorted(
        ((_ended_at(pod, now), pod) for pod in pods if not is_active(pod)), key=lambda pair: pair[0]
    ):
        if pod.status.phase == "Succeeded":
            failures = 0
        elif _has_failed(pod):
            failures += 1
            last = ended
    if not failures:
        return 0.0
    doubled: float = FIRST_BACKOFF * 2 ** min(failures - 1, 10)
    return last + min(doubled, LONGEST_BACKOFF) - now


def _ended_at(pod: Pod, now: float) -> float:
    times = [
        s.state.terminated.finished_at
        for s in pod.status.container_statuses
        if s.state and s.state.terminated and s.state.terminated.finished_at
    ]
    if times:
        return max(map(parse, times))
    ready = next((c for c in pod.status.conditions if c.type == "Ready"), None)
    moment = pod.metadata.deletion_timestamp or (ready and ready.last_transition_time)
    return min(parse(moment), now) if moment else now


# -- indexed jobs ---------------------------------------------------------------------------------


def index_of(pod: Pod) -> int | None:
    """The completion index a pod works on."""
    text = pod.metadata.annotations.get(INDEX, "")
    return int(text) if text.isdecimal() else None


def completed_indexes(job: Job, pods: Iterable[Pod]) -> list[int]:
    """Indexes that have succeeded, those of pods that are gone included."""
    done = set(parse_indexes(job.status.completed_indexes))
    for pod in pods:
        index = index_of(pod)
        if pod.status.phase == "Succeeded" and index is not None:
            done.add(index)
    return sorted(index for index in done if index < (job.spec.completions or 0))


def _free_indexes(job: Job, pods: Sequence[Pod], active: Sequence[Pod]) -> Iterable[int | None]:
    taken = set(completed_indexes(job, pods)) | {index_of(pod) for pod in active}
    return (index for index in range(job.spec.completions or 0) if index not in taken)


def format_indexes(indexes: Sequence[int]) -> str:
    """Sorted numbers as ranges: "0-2,5"; two neighbours are written "1,2", as Kubernetes does."""
    parts: list[list[int]] = []
    for index in indexes:
        if parts and index == parts[-1][-1] + 1:
            parts[-1].append(index)
        else:
            parts.append([index])
    return ",".join(f"{p[0]}-{p[-1]}" if len(p) > 2 else ",".join(map(str, p)) for p in parts)


def parse_indexes(text: str) -> list[int]:
    """The numbers that `format_indexes` wrote."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found
