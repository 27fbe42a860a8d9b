"""What the scheduler knows of a pod: its requests in the units of the columns, and its wishes.

A PodInfo is read once from a pod and never changes. `signature` is equal for pods that declare the
same wishes about nodes, so that what static plugins say is computed once for all replicas.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from engine.scheduler.wishes import ANY_COMPANY, Company, Spread
from engine.types.codec import encode
from engine.types.containers import Container
from engine.types.meta import ObjectMeta, controller_of
from engine.types.pods import (
    NodeSelectorTerm,
    Pod,
    PodSpec,
    PreferredSchedulingTerm,
    Toleration,
)
from engine.types.quantity import bytes_, milli

UNREQUESTED_CPU = 100
UNREQUESTED_MEMORY = 200 << 20
"""What a container without requests counts as when nodes are compared, as in kube-scheduler: else
pods without requests would all look free and pile up on one node."""


class HostPort(NamedTuple):
    """A port of the node that the pod wants for itself."""

    ip: str
    protocol: str
    port: int


@dataclass(frozen=True, slots=True, eq=False)
class PodInfo:
    """One pod. Requests are in millicores, bytes and units, without the place in the pod count."""

    uid: str
    namespace: str
    name: str
    priority: int
    created: str
    labels: dict[str, str]
    owner: str
    node_name: str
    requests: dict[str, int]
    scored_cpu: int
    scored_memory: int
    host_ports: tuple[HostPort, ...]
    tolerations: tuple[Toleration, ...]
    node_selector: dict[str, str]
    required_affinity: tuple[NodeSelectorTerm, ...] | None
    preferred_affinity: tuple[PreferredSchedulingTerm, ...]
    spread: tuple[Spread, ...]
    company: Company
    ending: bool
    signature: bytes

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @classmethod
    def of(cls, pod: Pod) -> "PodInfo":
        """Read a pod object. Raises ValueError for a quantity that cannot be read."""
        spec, meta = pod.spec, pod.metadata
        controller = controller_of(meta)
        affinity = spec.affinity.node_affinity if spec.affinity else None
        required = affinity and affinity.required_during_scheduling_ignored_during_execution
        preferred = (
            affinity.preferred_during_scheduling_ignored_during_execution if affinity else ()
        )
        requests = pod_requests(spec)
        return cls(
            uid=meta.uid,
            namespace=meta.namespace,
            name=meta.name,
            priority=spec.priority or 0,
            created=meta.creation_timestamp or "",
            labels=meta.labels,
            owner=controller.uid if controller else "",
            node_name=spec.node_name,
            requests={name: wanted for name, wanted in requests.items() if wanted},
            scored_cpu=_scored(spec, requests, "cpu", UNREQUESTED_CPU),
            scored_memory=_scored(spec, requests, "memory", UNREQUESTED_MEMORY),
            host_ports=tuple(_host_ports(spec)),
            tolerations=tuple(spec.tolerations),
            node_selector=spec.node_selector,
            required_affinity=tuple(required.node_selector_terms) if required else None,
            preferred_affinity=tuple(preferred),
            spread=tuple(Spread.of(c, meta.labels) for c in spec.topology_spread_constraints),
            company=_company(spec, meta),
            ending=meta.deletion_timestamp is not None,
            signature=encode((spec.node_selector, affinity, spec.tolerations, spec.node_name)),
        )


@lru_cache(maxsize=4096)
def amount(resource: str, quantity: str | int | float) -> int:
    """A quantity in the unit of its column: millicores for cpu, bytes or units for the rest."""
    return milli(quantity) if resource == "cpu" else bytes_(quantity)


def pod_requests(spec: PodSpec) -> dict[str, int]:
    """What the pod needs at once at the most: the sum of its containers and sidecars, or one init
    container with the sidecars started before it, whichever is more, plus the overhead."""
    running: dict[str, int] = {}
    for container in spec.containers:
        _add(running, _container_requests(container))
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in spec.init_containers:
        wanted = _container_requests(container)
        if container.restart_policy == "Always":
            _add(sidecars, wanted)
            _raise(peak, sidecars)
        else:
            _add(wanted, sidecars)
            _raise(peak, wanted)
    _add(running, sidecars)
    _raise(running, peak)
    _add(running, {name: amount(name, quantity) for name, quantity in spec.overhead.items()})
    return running


def _container_requests(container: Container) -> dict[str, int]:
    return {name: amount(name, q) for name, q in container.resources.requests.items()}


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, wanted in more.items():
        total[name] = total.get(name, 0) + wanted


def _raise(total: dict[str, int], least: Mapping[str, int]) -> None:
    for name, wanted in least.items():
        total[name] = max(total.get(name, 0), wanted)


def _scored(spec: PodSpec, requests: Mapping[str, int], name: str, unrequested: int) -> int:
    silent = sum(1 for c in spec.containers if name not in c.resources.requests)
    return requests.get(name, 0) + silent * unrequested


def _host_ports(spec: PodSpec) -> Iterable[HostPort]:
    for container in spec.containers:
        for port in container.ports:
            held = port.host_port or (port.container_port if spec.host_network else 0)
            if held:
                yield HostPort(port.host_ip or "0.0.0.0", port.protocol or "TCP", held)


def _company(spec: PodSpec, meta: ObjectMeta) -> Company:
    affinity = spec.affinity
    if affinity is None or not (affinity.pod_affinity or affinity.pod_anti_affinity):
        return ANY_COMPANY
    return Company.of(
        affinity.pod_affinity, affinity.pod_anti_affinity, meta.namespace, meta.labels
    )
