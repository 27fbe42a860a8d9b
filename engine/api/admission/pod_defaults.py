"""Defaults of a pod's spec, also inside the templates of other kinds.

They are Kubernetes' own (pkg/apis/core/v1/defaults.go), so that what is stored says all that holds.
"""

from __future__ import annotations

from engine.types.containers import Container, ContainerPort, EnvVar, LifecycleHandler, Probe
from engine.types.declare import Quantity
from engine.types.pods import Pod, PodSecurityContext, PodSpec, Toleration
from engine.types.quantity import InvalidQuantity, parse
from engine.types.volumes import EmptyDirVolume, ObjectFieldSelector, Volume, VolumeProjection

UNREACHABLE_SECONDS = 300
FILE_MODE = 0o644
TOKEN_SECONDS = 3600


def default_pod_spec(spec: PodSpec) -> None:
    """Complete `spec` in place."""
    spec.restart_policy = spec.restart_policy or "Always"
    spec.dns_policy = spec.dns_policy or "ClusterFirst"
    spec.scheduler_name = spec.scheduler_name or "default-scheduler"
    if spec.termination_grace_period_seconds is None:
        spec.termination_grace_period_seconds = 30
    if spec.security_context is None:
        spec.security_context = PodSecurityContext()
    # Two names of one field: whichever is given counts, the newer one first.
    spec.service_account_name = spec.service_account_name or spec.service_account
    spec.service_account = spec.service_account_name
    for volume in spec.volumes:
        _default_volume(volume)
    for container in (*spec.init_containers, *spec.containers, *spec.ephemeral_containers):
        default_container(container)
        if spec.host_network:
            for port in container.ports:
                port.host_port = port.host_port or port.container_port


def default_container(container: Container) -> None:
    """Complete `container` in place."""
    container.image_pull_policy = container.image_pull_policy or _pull_policy(container.image)
    path = container.termination_message_path
    container.termination_message_path = path or "/dev/termination-log"
    container.termination_message_policy = container.termination_message_policy or "File"
    for port in container.ports:
        _default_port(port)
    for variable in container.env:
        _default_variable(variable)
    for probe in (container.liveness_probe, container.readiness_probe, container.startup_probe):
        if probe is not None:
            _default_probe(probe)
    if container.lifecycle is not None:
        for handler in (container.lifecycle.post_start, container.lifecycle.pre_stop):
            if handler is not None:
                _default_handler(handler)
    resources = container.resources
    for name, limit in resources.limits.items():
        resources.requests.setdefault(name, limit)


def _pull_policy(image: str) -> str:
    """Always for a tag that moves, as the kubelet's defaults say; IfNotPresent for the rest."""
    name, _, digest = image.partition("@")
    if digest:
        return "IfNotPresent"
    _, colon, tag = name.rpartition("/")[2].partition(":")
    return "Always" if not colon or tag == "latest" else "IfNotPresent"


def _default_port(port: ContainerPort) -> None:
    port.protocol = port.protocol or "TCP"


def _default_variable(variable: EnvVar) -> None:
    if variable.value_from is not None and variable.value_from.field_ref is not None:
        _default_field(variable.value_from.field_ref)


def _default_field(field: ObjectFieldSelector) -> None:
    field.api_version = field.api_version or "v1"


def _default_probe(probe: Probe) -> None:
    probe.timeout_seconds = probe.timeout_seconds or 1
    probe.period_seconds = probe.period_seconds or 10
    probe.success_threshold = probe.success_threshold or 1
    probe.failure_threshold = probe.failure_threshold or 3
    if probe.http_get is not None:
        probe.http_get.path = probe.http_get.path or "/"
        probe.http_get.scheme = probe.http_get.scheme or "HTTP"
    if probe.grpc is not None and probe.grpc.service is None:
        probe.grpc.service = ""


def _default_handler(handler: LifecycleHandler) -> None:
    if handler.http_get is not None:
        handler.http_get.path = handler.http_get.path or "/"
        handler.http_get.scheme = handler.http_get.scheme or "HTTP"


def _default_volume(volume: Volume) -> None:
    if volume.host_path is not None:
        volume.host_path.type = volume.host_path.type or ""
    if volume.secret is not None and volume.secret.default_mode is None:
        volume.secret.default_mode = FILE_MODE
    if volume.config_map is not None and volume.config_map.default_mode is None:
        volume.config_map.default_mode = FILE_MODE
    if volume.downward_api is not None:
        if volume.downward_api.default_mode is None:
            volume.downward_api.default_mode = FILE_MODE
        for item in volume.downward_api.items:
            if item.field_ref is not None:
                _default_field(item.field_ref)
    if volume.projected is not None:
        if volume.projected.default_mode is None:
            volume.projected.default_mode = FILE_MODE
        for source in volume.projected.sources:
            _default_projection(source)
    sources = (getattr(volume, name) for name in volume.__struct_fields__ if name != "name")
    if all(source is None for source in sources):
        volume.empty_dir = EmptyDirVolume()


def _default_projection(source: VolumeProjection) -> None:
    if source.downward_api is not None:
        for item in source.downward_api.items:
            if item.field_ref is not None:
                _default_field(item.field_ref)
    token = source.service_account_token
    if token is not None and token.expiration_seconds is None:
        token.expiration_seconds = TOKEN_SECONDS


def default_pod(pod: Pod) -> None:
    """Complete a pod in place: its spec, and what admission adds to every new pod."""
    spec = pod.spec
    default_pod_spec(spec)
    spec.service_account_name = spec.service_account = spec.service_account_name or "default"
    if spec.enable_service_links is None:
        spec.enable_service_links = True
    if spec.priority is None:
        spec.priority = 0
    spec.preemption_policy = spec.preemption_policy or "PreemptLowerPriority"
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        _tolerate_for_a_while(spec, key)


def _tolerate_for_a_while(spec: PodSpec, key: str) -> None:
    for toleration in spec.tolerations:
        if toleration.key in ("", key) and toleration.effect in ("", "NoExecute"):
            return
    spec.tolerations.append(
        Toleration(
            key=key,
            operator="Exists",
            effect="NoExecute",
            toleration_seconds=UNREACHABLE_SECONDS,
        )
    )


def qos_class(spec: PodSpec) -> str:
    """Guaranteed, Burstable or BestEffort, from the containers' CPU and memory alone."""
    containers = [*spec.init_containers, *spec.containers]
    guaranteed = True
    best_effort = True
    for container in containers:
        limits, requests = container.resources.limits, container.resources.requests
        for name in ("cpu", "memory"):
            limit, request = limits.get(name), requests.get(name)
            if limit is not None or request is not None:
                best_effort = False
            if limit is None or not _equal(limit, limit if request is None else request):
                guaranteed = False
    if best_effort:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _equal(one: Quantity, other: Quantity) -> bool:
    """ "1" equals "1000m". What is no quantity equals nothing; its refusal comes later."""
    try:
        return parse(one) == parse(other)
    except InvalidQuantity:
        return False
