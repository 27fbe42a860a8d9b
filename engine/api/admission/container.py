"""Checks of one container: image, ports, variables, resources, mounts, probes, privileges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.api.admission.causes import Causes, Path
from engine.api.admission.names import dns_label, environment_name, port_name, port_number
from engine.api.admission.probes import check_lifecycle, check_probe
from engine.types.containers import (
    Container,
    ContainerPort,
    EnvVar,
    ResourceRequirements,
    SecurityContext,
    VolumeMount,
)
from engine.types.declare import Quantity
from engine.types.quantity import InvalidQuantity, parse
from engine.types.selector import label_key_fault

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
PROTOCOLS = ("SCTP", "TCP", "UDP")
MESSAGE_POLICIES = ("FallbackToLogsOnError", "File")
RESOURCES = frozenset(("cpu", "memory", "ephemeral-storage", "pods", "storage"))
FIELDS = (
    *("metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels"),
    *("metadata.annotations", "spec.nodeName", "spec.serviceAccountName"),
    *("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"),
)
RESOURCE_FIELDS = tuple(
    f"{side}.{name}"
    for side in ("limits", "requests")
    for name in ("cpu", "memory", "ephemeral-storage")
)


def check_containers(
    containers: Sequence[Container],
    path: Path,
    causes: Causes,
    *,
    volumes: Mapping[str, object],
    names: set[str],
) -> None:
    """Every container of a list; `names` collects their names over all lists of a pod."""
    for index, container in enumerate(containers):
        place = path.at(index)
        if container.name in names:
            causes.duplicate(place / "name", container.name)
        names.add(container.name)
        check_container(container, place, causes, volumes)


def check_container(
    container: Container, path: Path, causes: Causes, volumes: Mapping[str, object]
) -> None:
    """One container by itself, and its mounts against the pod's volumes."""
    if not container.name:
        causes.required(path / "name")
    elif wrong := dns_label(container.name):
        causes.invalid(path / "name", container.name, wrong)
    if not container.image:
        causes.required(path / "image")
    elif container.image != container.image.strip():
        detail = "must not have leading or trailing whitespace"
        causes.invalid(path / "image", container.image, detail)
    if container.image_pull_policy not in PULL_POLICIES:
        causes.unsupported(path / "imagePullPolicy", container.image_pull_policy, PULL_POLICIES)
    if container.termination_message_policy not in MESSAGE_POLICIES:
        causes.unsupported(
            path / "terminationMessagePolicy",
            container.termination_message_policy,
            MESSAGE_POLICIES,
        )
    _check_ports(container.ports, path / "ports", causes)
    for index, variable in enumerate(container.env):
        _check_variable(variable, (path / "env").at(index), causes)
    _check_env_from(container, path / "envFrom", causes)
    check_resources(container.resources, path / "resources", causes)
    _check_mounts(container.volume_mounts, path / "volumeMounts", causes, volumes)
    check_probe(container.liveness_probe, path / "livenessProbe", causes, single=True)
    check_probe(container.readiness_probe, path / "readinessProbe", causes, single=False)
    check_probe(container.startup_probe, path / "startupProbe", causes, single=True)
    check_lifecycle(container.lifecycle, path / "lifecycle", causes)
    _check_security(container.security_context, path / "securityContext", causes)


def _check_ports(ports: Sequence[ContainerPort], path: Path, causes: Causes) -> None:
    names: set[str] = set()
    for index, port in enumerate(ports):
        place = path.at(index)
        if port.name:
            if wrong := port_name(port.name):
                causes.invalid(place / "name", port.name, wrong)
            if port.name in names:
                causes.duplicate(place / "name", port.name)
            names.add(port.name)
        if not port.container_port:
            causes.required(place / "containerPort")
        elif wrong := port_number(port.container_port):
            causes.invalid(place / "containerPort", port.container_port, wrong)
        if port.host_port and (wrong := port_number(port.host_port)):
            causes.invalid(place / "hostPort", port.host_port, wrong)
        if port.protocol not in PROTOCOLS:
            causes.unsupported(place / "protocol", port.protocol, PROTOCOLS)


def _check_variable(variable: EnvVar, path: Path, causes: Causes) -> None:
    if not variable.name:
        causes.required(path / "name")
    elif wrong := environment_name(variable.name):
        causes.invalid(path / "name", variable.name, wrong)
    source = variable.value_from
    if source is None:
        return
    place = path / "valueFrom"
    given = [name for name in source.__struct_fields__ if getattr(source, name) is not None]
    if not given:
        causes.invalid(
            place,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or"
            " `secretKeyRef`",
        )
    elif variable.value:
        causes.invalid(place, "", "may not be specified when `value` is not empty")
    elif len(given) > 1:
        causes.invalid(place, "", "may not have more than one field specified at a time")
    if source.field_ref is not None:
        check_field(source.field_ref.field_path, place / "fieldRef" / "fieldPath", causes)
    if source.resource_field_ref is not None:
        resource = source.resource_field_ref.resource
        if resource not in RESOURCE_FIELDS and ".hugepages-" not in resource:
            shown = place / "resourceFieldRef" / "resource"
            causes.unsupported(shown, resource, RESOURCE_FIELDS)
    for name, reference in (
        ("configMapKeyRef", source.config_map_key_ref),
        ("secretKeyRef", source.secret_key_ref),
    ):
        if reference is not None and not reference.key:
            causes.required(place / name / "key")


def check_field(field: str, path: Path, causes: Causes) -> None:
    """A field of the pod that may be given to its containers."""
    name, bracket, key = field.partition("['")
    if bracket and name in ("metadata.labels", "metadata.annotations") and key.endswith("']"):
        if wrong := label_key_fault(key[:-2]):
            causes.invalid(path, field, wrong)
    elif not field:
        causes.required(path)
    elif field not in FIELDS:
        causes.unsupported(path, field, FIELDS)


def _check_env_from(container: Container, path: Path, causes: Causes) -> None:
    for index, source in enumerate(container.env_from):
        place = path.at(index)
        references = [
            (name, reference)
            for name, reference in (
                ("configMapRef", source.config_map_ref),
                ("secretRef", source.secret_ref),
            )
            if reference is not None
        ]
        if not references:
            causes.invalid(place, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(references) > 1:
            causes.invalid(place, "", "may not have more than one field specified at a time")
        for name, reference in references:
            if not reference.name:
                causes.required(place / name / "name")
        if source.prefix and (wrong := environment_name(source.prefix)):
            causes.invalid(place / "prefix", source.prefix, wrong)


def check_resources(resources: ResourceRequirements, path: Path, causes: Causes) -> None:
    """Names and amounts, and that no request is above its limit."""
    for side, amounts in (("limits", resources.limits), ("requests", resources.requests)):
        for name, amount in amounts.items():
            place = (path / side).at(name)
            if "/" in name:
                if wrong := label_key_fault(name):
                    causes.invalid(place, name, wrong)
            elif name not in RESOURCES and not name.startswith("hugepages-"):
                detail = "must be a standard resource type or fully qualified"
                causes.invalid(place, name, detail)
            check_amount(amount, place, causes)
    for name, request in resources.requests.items():
        limit = resources.limits.get(name)
        if limit is not None and _exceeds(request, limit):
            causes.invalid(
                path / "requests",
                str(request),
                f"must be less than or equal to {name} limit of {limit}",
            )


def check_amount(amount: Quantity, path: Path, causes: Causes) -> None:
    try:
        if parse(amount) < 0:
            causes.invalid(path, str(amount), "must be greater than or equal to 0")
    except InvalidQuantity:
        causes.invalid(
            path,
            str(amount),
            "quantities must match the regular expression"
            " '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        )


def _exceeds(request: Quantity, limit: Quantity) -> bool:
    try:
        return parse(request) > parse(limit)
    except InvalidQuantity:
        return False


def _check_mounts(
    mounts: Sequence[VolumeMount], path: Path, causes: Causes, volumes: Mapping[str, object]
) -> None:
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        place = path.at(index)
        if not mount.name:
            causes.required(place / "name")
        elif mount.name not in volumes:
            causes.not_found(place / "name", mount.name)
        if not mount.mount_path:
            causes.required(place / "mountPath")
        elif mount.mount_path in seen:
            causes.invalid(place / "mountPath", mount.mount_path, "must be unique")
        seen.add(mount.mount_path)
        if mount.sub_path and mount.sub_path_expr:
            detail = "subPathExpr and subPath are mutually exclusive"
            causes.invalid(place / "subPathExpr", mount.sub_path_expr, detail)
        for name, sub_path in (("subPath", mount.sub_path), ("subPathExpr", mount.sub_path_expr)):
            check_relative(sub_path, place / name, causes)


def check_relative(path_given: str, path: Path, causes: Causes) -> None:
    """A path that must stay below where it begins."""
    if path_given.startswith("/"):
        causes.invalid(path, path_given, "must be a relative path")
    if ".." in path_given.split("/"):
        causes.invalid(path, path_given, "must not contain '..'")


def _check_security(context: SecurityContext | None, path: Path, causes: Causes) -> None:
    if context is None:
        return
    for name, identity in (
        ("runAsUser", context.run_as_user),
        ("runAsGroup", context.run_as_group),
    ):
        if identity is not None and not 0 <= identity <= 2**31 - 1:
            detail = "must be between 0 and 2147483647, inclusive"
            causes.invalid(path / name, identity, detail)
    if context.allow_privilege_escalation is False and context.privileged:
        causes.invalid(
            path,
            "",
            "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
        )
