"""The batch group, v1: work that ends."""

from __future__ import annotations

from typing import Annotated, Any

from engine.types.declare import F, Type, always
from engine.types.meta import Condition, LabelSelector, Object
from engine.types.pods import PodTemplateSpec


class JobSpec(Type, kw_only=True):
    """What a job should be."""

    parallelism: Annotated[int | None, F("Most pods at once; 1 if absent.", 1)] = None
    completions: Annotated[int | None, F("Successes needed.", 2)] = None
    active_deadline_seconds: Annotated[int | None, F("Seconds it may take.", 3)] = None
    selector: Annotated[LabelSelector | None, F("Which pods are its own.", 4)] = None
    manual_selector: Annotated[bool | None, F("Whether the selector is given.", 5)] = None
    template: Annotated[PodTemplateSpec, F("What pods are made from.", 6)] = always(PodTemplateSpec)
    backoff_limit: Annotated[int | None, F("Failures allowed; 6 if absent.", 7)] = None
    ttl_seconds_after_finished: Annotated[int | None, F("Seconds until it is removed.", 8)] = None
    completion_mode: Annotated[str | None, F("NonIndexed or Indexed.", 9)] = None
    suspend: Annotated[bool | None, F("Whether it waits.", 10)] = None
    pod_failure_policy: Annotated[dict[str, Any] | None, F("Which failures count.", 11)] = None
    backoff_limit_per_index: Annotated[int | None, F("Failures per index.", 12)] = None
    max_failed_indexes: Annotated[int | None, F("Failed indexes allowed.", 13)] = None
    pod_replacement_policy: Annotated[str | None, F("When a new pod is made.", 14)] = None
    managed_by: Annotated[str | None, F("Another controller.", 15)] = None
    success_policy: Annotated[dict[str, Any] | None, F("When it counts as done.", 16)] = None


class JobCondition(Condition, kw_only=True):
    """One observed aspect of a job."""

    last_probe_time: Annotated[str | None, F("When it was last looked at.", 3)] = None


class UncountedTerminatedPods(Type, kw_only=True):
    """Pods that ended and are not in the counts yet."""

    succeeded: Annotated[list[str], F("Their uids.", 1, strategy="merge")] = []
    failed: Annotated[list[str], F("Their uids.", 2, strategy="merge")] = []


class JobStatus(Type, kw_only=True):
    """What is known of a job."""

    conditions: Annotated[list[JobCondition], F("Aspects.", 1, merge_key="type")] = []
    start_time: Annotated[str | None, F("When it began.", 2)] = None
    completion_time: Annotated[str | None, F("When it succeeded.", 3)] = None
    active: Annotated[int, F("Pods that run.", 4)] = 0
    succeeded: Annotated[int, F("Pods that succeeded.", 5)] = 0
    failed: Annotated[int, F("Pods that failed.", 6)] = 0
    completed_indexes: Annotated[str, F("Indexes done, such as 1,3-5.", 7)] = ""
    uncounted_terminated_pods: Annotated[
        UncountedTerminatedPods | None, F("Pods not counted yet.", 8)
    ] = None
    ready: Annotated[int | None, F("Pods that are ready.", 9)] = None
    failed_indexes: Annotated[str | None, F("Indexes that failed.", 10)] = None
    terminating: Annotated[int | None, F("Pods that are ending.", 11)] = None


class Job(Object, kw_only=True):
    """Runs pods until enough of them have succeeded."""

    api_version: Annotated[str, F("Group and version of the schema.")] = always("batch/v1")
    kind: Annotated[str, F("Name of the schema.")] = always("Job")
    spec: Annotated[JobSpec, F("What it should be.", 2)] = always(JobSpec)
    status: Annotated[JobStatus, F("What is known of it.", 3)] = always(JobStatus)
