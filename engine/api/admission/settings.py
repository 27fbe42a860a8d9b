"""Checks of config maps, secrets, services, nodes and events."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterable

from engine.api.admission.causes import Causes, Path
from engine.api.admission.container import PROTOCOLS, check_amount
from engine.api.admission.names import check_labels, config_key, dns_label, port_name, port_number
from engine.api.admission.pod import EFFECTS
from engine.types.core import ConfigMap, Event, Node, Secret, Service
from engine.types.selector import label_key_fault, label_value_fault

DATA_MAX = 1 << 20
SERVICE_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
FROZEN = "field is immutable when `immutable` is set"


def _check_data(parts: Iterable[tuple[str, dict[str, str]]], causes: Causes) -> None:
    size = 0
    seen: set[str] = set()
    for name, data in parts:
        for key, value in data.items():
            place = Path(name).at(key)
            if wrong := config_key(key):
                causes.invalid(place, key, wrong)
            if key in seen:
                causes.invalid(place, key, "duplicate of key present in data")
            seen.add(key)
            size += len(value.encode())
    if size > DATA_MAX:
        causes.too_long(Path(), DATA_MAX)


def _check_base64(data: dict[str, str], name: str, causes: Causes) -> None:
    for key, value in data.items():
        try:
            b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            causes.invalid(Path(name).at(key), "<hidden>", "must be base64")


def check_config_map(config: ConfigMap, causes: Causes) -> None:
    _check_data((("data", config.data), ("binaryData", config.binary_data)), causes)
    _check_base64(config.binary_data, "binaryData", causes)


def check_config_map_change(new: ConfigMap, old: ConfigMap, causes: Causes) -> None:
    if old.immutable:
        if not new.immutable:
            causes.forbidden(Path("immutable"), FROZEN)
        if new.data != old.data:
            causes.forbidden(Path("data"), FROZEN)
        if new.binary_data != old.binary_data:
            causes.forbidden(Path("binaryData"), FROZEN)


def check_secret(secret: Secret, causes: Causes) -> None:
    _check_data((("data", secret.data),), causes)
    _check_base64(secret.data, "data", causes)


def check_secret_change(new: Secret, old: Secret, causes: Causes) -> None:
    if new.type != old.type:
        causes.invalid(Path("type"), new.type, "field is immutable")
    if old.immutable:
        if not new.immutable:
            causes.forbidden(Path("immutable"), FROZEN)
        if new.data != old.data:
            causes.forbidden(Path("data"), FROZEN)


def check_service(service: Service, causes: Causes) -> None:
    spec, path = service.spec, Path("spec")
    if spec.type not in SERVICE_TYPES:
        causes.unsupported(path / "type", spec.type, SERVICE_TYPES)
    if spec.type == "ExternalName":
        if not spec.external_name:
            causes.required(path / "externalName")
    elif not spec.ports and spec.cluster_ip != "None":
        causes.required(path / "ports")
    names: set[str] = set()
    for index, port in enumerate(spec.ports):
        place = (path / "ports").at(index)
        if len(spec.ports) > 1 and not port.name:
            causes.required(place / "name")
        elif port.name:
            if wrong := dns_label(port.name):
                causes.invalid(place / "name", port.name, wrong)
            if port.name in names:
                causes.duplicate(place / "name", port.name)
            names.add(port.name)
        if wrong := port_number(port.port):
            causes.invalid(place / "port", port.port, wrong)
        if port.protocol not in PROTOCOLS:
            causes.unsupported(place / "protocol", port.protocol, PROTOCOLS)
        target = port.target_port
        wrong = port_number(target) if isinstance(target, int) else port_name(target)
        if wrong:
            causes.invalid(place / "targetPort", target, wrong)
    check_labels(spec.selector, path / "selector", causes)


def check_node(node: Node, causes: Causes) -> None:
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(node.spec.taints):
        place = (Path("spec") / "taints").at(index)
        if wrong := label_key_fault(taint.key):
            causes.invalid(place / "key", taint.key, wrong)
        if wrong := label_value_fault(taint.value):
            causes.invalid(place / "value", taint.value, wrong)
        if not taint.effect:
            causes.required(place / "effect")
        elif taint.effect not in EFFECTS:
            causes.unsupported(place / "effect", taint.effect, EFFECTS)
        if (taint.key, taint.effect) in seen:
            causes.duplicate(place, f"{taint.key}:{taint.effect}")
        seen.add((taint.key, taint.effect))
    for side, amounts in (
        ("capacity", node.status.capacity),
        ("allocatable", node.status.allocatable),
    ):
        for name, amount in amounts.items():
            check_amount(amount, (Path("status") / side).at(name), causes)


def check_node_change(new: Node, old: Node, causes: Causes) -> None:
    for name, after, before in (
        ("podCIDR", new.spec.pod_cidr, old.spec.pod_cidr),
        ("providerID", new.spec.provider_id, old.spec.provider_id),
    ):
        if before and after != before:
            causes.forbidden(Path("spec") / name, "node updates may not change it once it is set")


def check_event(event: Event, causes: Causes) -> None:
    """Events of objects without a namespace live in `default`."""
    involved, own = event.involved_object.namespace, event.metadata.namespace
    if involved != own and not (involved == "" and own == "default"):
        path = Path("involvedObject") / "namespace"
        causes.invalid(path, involved, "does not match event.namespace")
