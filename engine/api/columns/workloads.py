"""Pods and what makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from engine.types import clock, selector
from engine.types.apps import Deployment, ReplicaSet
from engine.types.batch import Job
from engine.types.containers import Container
from engine.types.core import Pod
from engine.types.meta import LabelSelector
from engine.types.podstatus import pod_summary

NONE = "<none>"


def _pod(pod: Pod, now: float) -> list[Any]:
    summary = pod_summary(pod)
    gates = len(pod.spec.readiness_gates)
    true = {c.type for c in pod.status.conditions if c.status == "True"}
    open_gates = sum(gate.condition_type in true for gate in pod.spec.readiness_gates)
    return [
        pod.metadata.name,
        f"{summary.ready}/{summary.total}",
        summary.status,
        summary.restarts_text(now),
        clock.age(pod.metadata.creation_timestamp, now),
        pod.status.pod_ips[0].ip if pod.status.pod_ips else pod.status.pod_ip or NONE,
        pod.spec.node_name or NONE,
        pod.status.nominated_node_name or NONE,
        f"{open_gates}/{gates}" if gates else NONE,
    ]


def _deployment(deployment: Deployment, now: float) -> list[Any]:
    spec, status = deployment.spec, deployment.status
    return [
        deployment.metadata.name,
        f"{status.ready_replicas}/{spec.replicas or 0}",
        status.updated_replicas,
        status.available_replicas,
        clock.age(deployment.metadata.creation_timestamp, now),
        *_containers(spec.template.spec.containers),
        _selector(spec.selector),
    ]


def _replica_set(replica_set: ReplicaSet, now: float) -> list[Any]:
    spec, status = replica_set.spec, replica_set.status
    return [
        replica_set.metadata.name,
        spec.replicas or 0,
        status.replicas,
        status.ready_replicas,
        clock.age(replica_set.metadata.creation_timestamp, now),
        *_containers(spec.template.spec.containers),
        _selector(spec.selector),
    ]


def _job(job: Job, now: float) -> list[Any]:
    return [
        job.metadata.name,
        _job_status(job),
        _completions(job),
        _job_duration(job, now),
        clock.age(job.metadata.creation_timestamp, now),
        *_containers(job.spec.template.spec.containers),
        _selector(job.spec.selector),
    ]


def _job_status(job: Job) -> str:
    holds = {c.type for c in job.status.conditions if c.status == "True"}
    for kind in ("Complete", "Failed"):
        if kind in holds:
            return kind
    if job.metadata.deletion_timestamp:
        return "Terminating"
    for kind, word in (("Suspended", "Suspended"), ("FailureTarget", "FailureTarget")):
        if kind in holds:
            return word
    return "SuccessCriteriaMet" if "SuccessCriteriaMet" in holds else "Running"


def _completions(job: Job) -> str:
    done = job.status.succeeded
    if job.spec.completions is not None:
        return f"{done}/{job.spec.completions}"
    parallelism = job.spec.parallelism or 0
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _job_duration(job: Job, now: float) -> str:
    if not job.status.start_time:
        return ""
    end = clock.parse(job.status.completion_time) if job.status.completion_time else now
    return clock.duration(end - clock.parse(job.status.start_time))


def _containers(containers: Sequence[Container]) -> tuple[str, str]:
    return (",".join(c.name for c in containers), ",".join(c.image for c in containers))


def _selector(chosen: LabelSelector | None) -> str:
    return str(selector.of(chosen)) or NONE


_MADE_OF = "Containers*|Images*|Selector*"
TABLES: dict[str, tuple[str, Callable[[Any, float], list[Any]]]] = {
    "Pod": (
        "Name|Ready|Status|Restarts|Age|IP*|Node*|Nominated Node*|Readiness Gates*",
        _pod,
    ),
    "Deployment": (f"Name|Ready|Up-to-date|Available|Age|{_MADE_OF}", _deployment),
    "ReplicaSet": (f"Name|Desired|Current|Ready|Age|{_MADE_OF}", _replica_set),
    "Job": (f"Name|Status|Completions|Duration|Age|{_MADE_OF}", _job),
}
