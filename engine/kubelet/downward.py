"""The downward API: what a container may learn about its own pod, as text."""

import json
import math
import re
from dataclasses import dataclass

from engine.types import quantity
from engine.types.containers import Container
from engine.types.declare import Quantity
from engine.types.pods import Pod
from engine.types.volumes import ResourceFieldSelector

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


class ConfigError(Exception):
    """The pod asks for something that is not there; the text is a container's waiting message."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a pod may learn about its node; cpu in cores, memory and storage in bytes."""

    name: str
    ip: str
    cpu: float
    memory: int
    storage: int


def field(pod: Pod, path: str, *, pod_ip: str, node: NodeFacts) -> str:
    """The text of a fieldRef. Raise ConfigError for a path that has none."""
    meta = pod.metadata
    if match := _SUBSCRIPT.fullmatch(path):
        source = meta.labels if match[1] == "labels" else meta.annotations
        return source.get(match[2], "")
    plain = {
        "metadata.name": meta.name,
        "metadata.namespace": meta.namespace,
        "metadata.uid": meta.uid,
        "metadata.labels": _pairs(meta.labels),
        "metadata.annotations": _pairs(meta.annotations),
        "spec.nodeName": node.name,
        "spec.serviceAccountName": pod.spec.service_account_name,
        "status.hostIP": node.ip,
        "status.hostIPs": node.ip,
        "status.podIP": pod_ip,
        "status.podIPs": pod_ip,
    }
    if path not in plain:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return plain[path]


def _pairs(values: dict[str, str]) -> str:
    quoted = (f"{key}={json.dumps(values[key], ensure_ascii=False)}" for key in sorted(values))
    return "\n".join(quoted)


def resource(pod: Pod, own: Container, selector: ResourceFieldSelector, node: NodeFacts) -> str:
    """The text of a resourceFieldRef, rounded up in units of its divisor.

    A limit that is not set is what the node has. Raise ConfigError for an unknown container or
    resource.
    """
    container = own
    if name := selector.container_name:
        everyone = [*pod.spec.init_containers, *pod.spec.containers]
        found = next((c for c in everyone if c.name == name), None)
        if found is None:
            raise ConfigError(f"container {name} not found")
        container = found
    source, _, what = selector.resource.partition(".")
    if source not in ("limits", "requests"):
        raise ConfigError(f"unsupported container resource : {selector.resource}")
    declared = getattr(container.resources, source).get(what)
    if declared is None and source == "limits":
        whole = {"cpu": node.cpu, "memory": node.memory, "ephemeral-storage": node.storage}
        declared = whole.get(what)
    return _in_units(declared if declared is not None else 0, selector.divisor or 1)


def _in_units(value: Quantity, divisor: Quantity) -> str:
    return str(math.ceil(quantity.parse(value) / quantity.parse(divisor)))
