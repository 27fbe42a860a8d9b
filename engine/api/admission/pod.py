"""Checks of a pod's spec, by itself and inside a template, and of what may change of a pod."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from engine.api.admission.causes import Causes, Path
from engine.api.admission.container import check_containers
from engine.api.admission.metadata import check_selector
from engine.api.admission.names import check_labels, dns_label, dns_subdomain
from engine.api.admission.podparts import check_ephemeral
from engine.api.admission.volumes import check_volumes
from engine.types import codec
from engine.types.pods import (
    NodeSelectorTerm,
    Pod,
    PodSpec,
    Toleration,
    TopologySpreadConstraint,
)
from engine.types.selector import label_key_fault, label_value_fault

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
UNSATISFIABLE = ("DoNotSchedule", "ScheduleAnyway")
DEADLINE_MAX = 2**31 - 1

MUTABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only"
    " additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set"
    " to 1 if it was previously negative)"
)


def check_pod(pod: Pod, causes: Causes) -> None:
    check_pod_spec(pod.spec, Path("spec"), causes)


def check_pod_spec(spec: PodSpec, path: Path, causes: Causes) -> None:
    """Everything that can be said of a spec without knowing its surroundings."""
    check_volumes(spec.volumes, path / "volumes", causes)
    volumes = {volume.name: volume for volume in spec.volumes}
    names: set[str] = set()
    if not spec.containers:
        causes.required(path / "containers")
    check_containers(spec.containers, path / "containers", causes, volumes=volumes, names=names)
    check_containers(
        spec.init_containers, path / "initContainers", causes, volumes=volumes, names=names
    )
    _check_init_containers(spec, path / "initContainers", causes)
    check_ephemeral(spec, path / "ephemeralContainers", causes, names)
    if spec.restart_policy not in RESTART_POLICIES:
        causes.unsupported(path / "restartPolicy", spec.restart_policy, RESTART_POLICIES)
    if spec.dns_policy not in DNS_POLICIES:
        causes.unsupported(path / "dnsPolicy", spec.dns_policy, DNS_POLICIES)
    _check_times(spec, path, causes)
    _check_names(spec, path, causes)
    check_labels(spec.node_selector, path / "nodeSelector", causes)
    check_tolerations(spec.tolerations, path / "tolerations", causes)
    _check_affinity(spec, path / "affinity", causes)
    _check_spread(spec.topology_spread_constraints, path / "topologySpreadConstraints", causes)
    for index, alias in enumerate(spec.host_aliases):
        if not _is_address(alias.ip):
            place = (path / "hostAliases").at(index) / "ip"
            causes.invalid(place, alias.ip, "must be a valid IP address, (e.g. 10.9.8.7)")


def _check_init_containers(spec: PodSpec, path: Path, causes: Causes) -> None:
    for index, container in enumerate(spec.init_containers):
        place = path.at(index)
        if container.restart_policy == "Always":
            continue
        if container.restart_policy is not None:
            causes.unsupported(place / "restartPolicy", container.restart_policy, ("Always",))
        for name, value in (
            ("lifecycle", container.lifecycle),
            ("livenessProbe", container.liveness_probe),
            ("readinessProbe", container.readiness_probe),
            ("startupProbe", container.startup_probe),
        ):
            if value is not None:
                detail = "may not be set for init containers without restartPolicy=Always"
                causes.forbidden(place / name, detail)


def _check_times(spec: PodSpec, path: Path, causes: Causes) -> None:
    grace = spec.termination_grace_period_seconds
    if grace is not None and grace < 0:
        detail = "must be greater than or equal to 0"
        causes.invalid(path / "terminationGracePeriodSeconds", grace, detail)
    deadline = spec.active_deadline_seconds
    if deadline is not None and not 1 <= deadline <= DEADLINE_MAX:
        detail = f"must be between 1 and {DEADLINE_MAX}, inclusive"
        causes.invalid(path / "activeDeadlineSeconds", deadline, detail)


def _check_names(spec: PodSpec, path: Path, causes: Causes) -> None:
    for name, value in (("hostname", spec.hostname), ("subdomain", spec.subdomain)):
        if value and (wrong := dns_label(value)):
            causes.invalid(path / name, value, wrong)
    for name, value in (
        ("serviceAccountName", spec.service_account_name),
        ("nodeName", spec.node_name),
        ("priorityClassName", spec.priority_class_name),
    ):
        if value and (wrong := dns_subdomain(value)):
            causes.invalid(path / name, value, wrong)


def check_tolerations(tolerations: Sequence[Toleration], path: Path, causes: Causes) -> None:
    for index, toleration in enumerate(tolerations):
        place = path.at(index)
        if toleration.key and (wrong := label_key_fault(toleration.key)):
            causes.invalid(place / "key", toleration.key, wrong)
        if not toleration.key and toleration.operator != "Exists":
            detail = 'operator must be Exists when `key` is empty, which means "match all values"'
            causes.invalid(place / "operator", toleration.operator, detail + ' and "all keys"')
        if toleration.toleration_seconds is not None and toleration.effect != "NoExecute":
            detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            causes.invalid(place / "effect", toleration.effect, detail)
        match toleration.operator:
            case "Equal" | "":
                if wrong := label_value_fault(toleration.value):
                    causes.invalid(place / "operator", toleration.value, wrong)
            case "Exists":
                if toleration.value:
                    detail = "value must be empty when `operator` is 'Exists'"
                    causes.invalid(place / "operator", toleration.value, detail)
            case _:
                supported = ("Equal", "Exists")
                causes.unsupported(place / "operator", toleration.operator, supported)
        if toleration.effect and toleration.effect not in EFFECTS:
            causes.unsupported(place / "effect", toleration.effect, EFFECTS)


def _check_affinity(spec: PodSpec, path: Path, causes: Causes) -> None:
    if spec.affinity is None or spec.affinity.node_affinity is None:
        return
    node = spec.affinity.node_affinity
    required = node.required_during_scheduling_ignored_during_execution
    if required is not None:
        place = (
            path / "nodeAffinity" / "requiredDuringSchedulingIgnoredDuringExecution"
        ) / "nodeSelectorTerms"
        if not required.node_selector_terms:
            causes.required(place, "must have at least one node selector term")
        for index, term in enumerate(required.node_selector_terms):
            _check_term(term, place.at(index), causes)
    preferred = path / "nodeAffinity" / "preferredDuringSchedulingIgnoredDuringExecution"
    for index, wish in enumerate(node.preferred_during_scheduling_ignored_during_execution):
        place = preferred.at(index)
        if not 1 <= wish.weight <= 100:
            causes.invalid(place / "weight", wish.weight, "must be in the range 1-100")
        _check_term(wish.preference, place / "preference", causes)


def _check_term(term: NodeSelectorTerm, path: Path, causes: Causes) -> None:
    for index, each in enumerate(term.match_expressions):
        place = (path / "matchExpressions").at(index)
        match each.operator:
            case "In" | "NotIn":
                if not each.values:
                    detail = "must be specified when `operator` is 'In' or 'NotIn'"
                    causes.required(place / "values", detail)
            case "Exists" | "DoesNotExist":
                if each.values:
                    detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                    causes.forbidden(place / "values", detail)
            case "Gt" | "Lt":
                if len(each.values) != 1:
                    detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
                    causes.required(place / "values", detail)
            case _:
                causes.invalid(place / "operator", each.operator, "not a valid selector operator")
        if wrong := label_key_fault(each.key):
            causes.invalid(place / "key", each.key, wrong)


def _check_spread(
    constraints: Sequence[TopologySpreadConstraint], path: Path, causes: Causes
) -> None:
    for index, constraint in enumerate(constraints):
        place = path.at(index)
        if constraint.max_skew <= 0:
            causes.invalid(place / "maxSkew", constraint.max_skew, "must be greater than zero")
        if not constraint.topology_key:
            causes.required(place / "topologyKey", "can not be empty")
        if constraint.when_unsatisfiable not in UNSATISFIABLE:
            causes.unsupported(
                place / "whenUnsatisfiable", constraint.when_unsatisfiable, UNSATISFIABLE
            )
        check_selector(constraint.label_selector, place / "labelSelector", causes)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def check_pod_change(new: Pod, old: Pod, causes: Causes) -> None:
    """A pod's spec stays what it was made with, but for images, deadline and tolerations."""
    wished = codec.clone(new.spec)
    before = old.spec
    for mine, its in (
        (wished.containers, before.containers),
        (wished.init_containers, before.init_containers),
    ):
        if len(mine) != len(its):
            causes.forbidden(Path("spec"), "pod updates may not add or remove containers")
            return
        for container, original in zip(mine, its, strict=True):
            container.image = original.image
    _check_deadline(wished, before, causes)
    wished.active_deadline_seconds = before.active_deadline_seconds
    if {g.name for g in wished.scheduling_gates} <= {g.name for g in before.scheduling_gates}:
        wished.scheduling_gates = before.scheduling_gates  # gates may be opened, never closed
    if all(_tolerates(wished.tolerations, toleration) for toleration in before.tolerations):
        wished.tolerations = before.tolerations
    if wished != before:
        causes.forbidden(Path("spec"), MUTABLE)


def _check_deadline(new: PodSpec, old: PodSpec, causes: Causes) -> None:
    path = Path("spec") / "activeDeadlineSeconds"
    after, before = new.active_deadline_seconds, old.active_deadline_seconds
    if before is None or after == before:
        return
    if after is None:
        causes.invalid(path, None, "must not update from a positive integer to nil value")
    elif after > before:
        causes.invalid(path, after, f"must be less than or equal to previous value {before}")


def _tolerates(tolerations: Sequence[Toleration], wanted: Toleration) -> bool:
    """Whether it is still there; only its seconds may have changed."""
    return any(
        (each.key, each.operator, each.value, each.effect)
        == (wanted.key, wanted.operator, wanted.value, wanted.effect)
        for each in tolerations
    )
