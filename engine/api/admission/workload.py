"""Checks of deployments, replica sets and jobs."""

from __future__ import annotations

import re

from engine.api.admission.causes import Causes, Path
from engine.api.admission.metadata import check_selector
from engine.api.admission.names import check_annotations, check_labels
from engine.api.admission.pod import check_pod_spec
from engine.types import codec, selector
from engine.types.apps import Deployment, DeploymentStrategy, ReplicaSet
from engine.types.batch import Job
from engine.types.declare import IntOrString
from engine.types.meta import LabelSelector
from engine.types.pods import PodTemplateSpec

SPEC = Path("spec")
IMMUTABLE = "field is immutable"
STRATEGIES = ("Recreate", "RollingUpdate")
MODES = ("NonIndexed", "Indexed")


def _not_negative(number: int | None, path: Path, causes: Causes) -> None:
    if number is not None and number < 0:
        causes.invalid(path, number, "must be greater than or equal to 0")


def _check_template(
    template: PodTemplateSpec, chosen: LabelSelector, path: Path, causes: Causes
) -> None:
    labels = template.metadata.labels
    check_labels(labels, path / "metadata" / "labels", causes)
    check_annotations(template.metadata.annotations, path / "metadata" / "annotations", causes)
    try:
        matches = selector.of(chosen).matches(labels)
    except selector.InvalidSelector:
        matches = True  # told already
    if not matches:
        detail = "`selector` does not match template `labels`"
        causes.invalid(path / "metadata" / "labels", labels, detail)
    check_pod_spec(template.spec, path / "spec", causes)
    if template.spec.restart_policy != "Always":
        policy = template.spec.restart_policy
        causes.unsupported(path / "spec" / "restartPolicy", policy, ("Always",))
    if template.spec.active_deadline_seconds is not None:
        causes.forbidden(path / "spec" / "activeDeadlineSeconds", "may not be set here")


def _check_chosen(chosen: LabelSelector, kind: str, causes: Causes) -> None:
    path = SPEC / "selector"
    if not chosen.match_labels and not chosen.match_expressions:
        causes.invalid(path, codec.to_dict(chosen), f"empty selector is invalid for {kind}")
    check_selector(chosen, path, causes)


def check_replica_set(replica_set: ReplicaSet, causes: Causes) -> None:
    spec = replica_set.spec
    _not_negative(spec.replicas, SPEC / "replicas", causes)
    _not_negative(spec.min_ready_seconds, SPEC / "minReadySeconds", causes)
    _check_chosen(spec.selector, "replicaset", causes)
    _check_template(spec.template, spec.selector, SPEC / "template", causes)


def check_replica_set_change(new: ReplicaSet, old: ReplicaSet, causes: Causes) -> None:
    _unchanged(new.spec.selector, old.spec.selector, causes)


def check_deployment(deployment: Deployment, causes: Causes) -> None:
    spec = deployment.spec
    _not_negative(spec.replicas, SPEC / "replicas", causes)
    _check_chosen(spec.selector, "deployment", causes)
    _check_template(spec.template, spec.selector, SPEC / "template", causes)
    _check_strategy(spec.strategy, SPEC / "strategy", causes)
    _not_negative(spec.min_ready_seconds, SPEC / "minReadySeconds", causes)
    _not_negative(spec.revision_history_limit, SPEC / "revisionHistoryLimit", causes)
    deadline = spec.progress_deadline_seconds
    _not_negative(deadline, SPEC / "progressDeadlineSeconds", causes)
    if deadline is not None and deadline <= spec.min_ready_seconds:
        detail = "must be greater than minReadySeconds"
        causes.invalid(SPEC / "progressDeadlineSeconds", deadline, detail)


def check_deployment_change(new: Deployment, old: Deployment, causes: Causes) -> None:
    _unchanged(new.spec.selector, old.spec.selector, causes)


def _unchanged(new: LabelSelector | None, old: LabelSelector | None, causes: Causes) -> None:
    if new != old:
        shown = None if new is None else codec.to_dict(new)
        causes.invalid(SPEC / "selector", shown, IMMUTABLE)


def _check_strategy(strategy: DeploymentStrategy, path: Path, causes: Causes) -> None:
    if strategy.type not in STRATEGIES:
        causes.unsupported(path / "type", strategy.type, STRATEGIES)
    rolling = strategy.rolling_update
    if rolling is None:
        return
    if strategy.type == "Recreate":
        detail = "may not be specified when strategy `type` is 'Recreate'"
        causes.forbidden(path / "rollingUpdate", detail)
        return
    place = path / "rollingUpdate"
    unavailable = _check_amount(rolling.max_unavailable, place / "maxUnavailable", causes)
    surge = _check_amount(rolling.max_surge, place / "maxSurge", causes)
    if unavailable == surge == 0:
        detail = "may not be 0 when `maxSurge` is 0"
        causes.invalid(place / "maxUnavailable", rolling.max_unavailable, detail)
    if isinstance(rolling.max_unavailable, str) and (unavailable or 0) > 100:
        detail = "must not be greater than 100%"
        causes.invalid(place / "maxUnavailable", rolling.max_unavailable, detail)


def _check_amount(amount: IntOrString | None, path: Path, causes: Causes) -> int | None:
    """The number, or the number of percent."""
    if isinstance(amount, str):
        if not re.fullmatch(r"[0-9]+%", amount):
            detail = "a valid percent string must be a numeric string followed by an ending '%'"
            causes.invalid(
                path,
                amount,
                f"{detail} (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
            )
            return None
        return int(amount[:-1])
    _not_negative(amount, path, causes)
    return amount


def check_job(job: Job, causes: Causes) -> None:
    spec = job.spec
    for name, number in (
        ("parallelism", spec.parallelism),
        ("completions", spec.completions),
        ("activeDeadlineSeconds", spec.active_deadline_seconds),
        ("backoffLimit", spec.backoff_limit),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished),
    ):
        _not_negative(number, SPEC / name, causes)
    if spec.completion_mode not in MODES:
        causes.unsupported(SPEC / "completionMode", spec.completion_mode, MODES)
    if spec.completion_mode == "Indexed" and spec.completions is None:
        detail = "when completion mode is Indexed"
        causes.required(SPEC / "completions", detail)
    if spec.selector is None:
        causes.required(SPEC / "selector")
    check_selector(spec.selector, SPEC / "selector", causes)
    path = SPEC / "template"
    check_labels(spec.template.metadata.labels, path / "metadata" / "labels", causes)
    check_pod_spec(spec.template.spec, path / "spec", causes)
    policy = spec.template.spec.restart_policy
    if policy == "Always":
        detail = 'valid values: "OnFailure", "Never"'
        causes.required(path / "spec" / "restartPolicy", detail)


def check_job_change(new: Job, old: Job, causes: Causes) -> None:
    _unchanged(new.spec.selector, old.spec.selector, causes)
    if new.spec.completions != old.spec.completions and new.spec.completion_mode != "Indexed":
        causes.invalid(SPEC / "completions", new.spec.completions, IMMUTABLE)
    if new.spec.completion_mode != old.spec.completion_mode:
        causes.invalid(SPEC / "completionMode", new.spec.completion_mode, IMMUTABLE)
    if new.spec.template != old.spec.template and not (old.spec.suspend and _idle(old)):
        causes.invalid(SPEC / "template", codec.to_dict(new.spec.template), IMMUTABLE)


def _idle(job: Job) -> bool:
    """A suspended job that has not started yet may still be changed."""
    return job.status.start_time is None
