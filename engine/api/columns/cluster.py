"""Nodes, namespaces, settings, services, events, leases and images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.types import clock
from engine.types.coordination import Lease
from engine.types.core import ConfigMap, Event, Namespace, Node, Secret, Service, ServiceAccount
from engine.types.images import Image
from engine.types.quantity import format_bytes

NONE = "<none>"
UNKNOWN = "<unknown>"
_ROLE = "node-role.kubernetes.io/"


def _node(node: Node, now: float) -> list[Any]:
    info = node.status.node_info
    addresses = {a.type: a.address for a in reversed(node.status.addresses)}
    return [
        node.metadata.name,
        _node_status(node),
        _roles(node),
        clock.age(node.metadata.creation_timestamp, now),
        info.kubelet_version,
        addresses.get("InternalIP", NONE),
        addresses.get("ExternalIP", NONE),
        info.os_image or UNKNOWN,
        info.kernel_version or UNKNOWN,
        info.container_runtime_version or UNKNOWN,
    ]


def _node_status(node: Node) -> str:
    ready = next((c.status for c in node.status.conditions if c.type == "Ready"), None)
    words = ["Unknown" if ready is None else "Ready" if ready == "True" else "NotReady"]
    if node.spec.unschedulable:
        words.append("SchedulingDisabled")
    return ",".join(words)


def _roles(node: Node) -> str:
    labels = node.metadata.labels
    roles = {key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE)}
    roles.add(labels.get("kubernetes.io/role", ""))
    return ",".join(sorted(roles - {""})) or NONE


def _namespace(namespace: Namespace, now: float) -> list[Any]:
    age = clock.age(namespace.metadata.creation_timestamp, now)
    return [namespace.metadata.name, namespace.status.phase, age]


def _config_map(config: ConfigMap, now: float) -> list[Any]:
    count = len(config.data) + len(config.binary_data)
    return [config.metadata.name, count, clock.age(config.metadata.creation_timestamp, now)]


def _secret(secret: Secret, now: float) -> list[Any]:
    age = clock.age(secret.metadata.creation_timestamp, now)
    return [secret.metadata.name, secret.type, len(secret.data), age]


def _service_account(account: ServiceAccount, now: float) -> list[Any]:
    age = clock.age(account.metadata.creation_timestamp, now)
    return [account.metadata.name, len(account.secrets), age]


def _service(service: Service, now: float) -> list[Any]:
    spec = service.spec
    external = ",".join(spec.external_ips)
    if spec.type == "ExternalName":
        external = spec.external_name
    elif spec.type == "LoadBalancer" and not external:
        external = "<pending>"
    ports = ",".join(
        f"{p.port}:{p.node_port}/{p.protocol}" if p.node_port else f"{p.port}/{p.protocol}"
        for p in spec.ports
    )
    chosen = ",".join(f"{key}={value}" for key, value in sorted(spec.selector.items()))
    return [
        service.metadata.name,
        spec.type,
        spec.cluster_ip or NONE,
        external or NONE,
        ports or NONE,
        clock.age(service.metadata.creation_timestamp, now),
        chosen or NONE,
    ]


def _event(event: Event, now: float) -> list[Any]:
    first = event.first_timestamp or event.event_time
    last = event.last_timestamp or first
    count = event.count or 1
    if event.series is not None:
        last, count = event.series.last_observed_time or last, event.series.count
    involved = event.involved_object
    source = [event.source.component or event.reporting_component, event.source.host]
    return [
        clock.age(last, now),
        event.type,
        event.reason,
        f"{involved.kind.lower()}/{involved.name}",
        involved.field_path,
        ", ".join(filter(None, source)),
        event.message.strip(),
        clock.age(first, now),
        count,
        event.metadata.name,
    ]


def _lease(lease: Lease, now: float) -> list[Any]:
    age = clock.age(lease.metadata.creation_timestamp, now)
    return [lease.metadata.name, lease.spec.holder_identity or "", age]


def _image(image: Image, now: float) -> list[Any]:
    return [
        ",".join(image.references) or NONE,
        len(image.layers),
        format_bytes(image.size),
        clock.age(image.created, now),
        image.metadata.name,
    ]


TABLES: dict[str, tuple[str, Callable[[Any, float], list[Any]]]] = {
    "Node": (
        "Name|Status|Roles|Age|Version|Internal-IP*|External-IP*|OS-Image*|Kernel-Version*"
        "|Container-Runtime*",
        _node,
    ),
    "Namespace": ("Name|Status|Age", _namespace),
    "ConfigMap": ("Name|Data|Age", _config_map),
    "Secret": ("Name|Type|Data|Age", _secret),
    "ServiceAccount": ("Name|Secrets|Age", _service_account),
    "Service": ("Name|Type|Cluster-IP|External-IP|Port(s)|Age|Selector*", _service),
    "Event": (
        "Last Seen|Type|Reason|Object|Subobject*|Source*|Message|First Seen*|Count*|Name*",
        _event,
    ),
    "Lease": ("Name|Holder|Age", _lease),
    "Image": ("Reference|Layers|Size|Created|Name*", _image),
}
