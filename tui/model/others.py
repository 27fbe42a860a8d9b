"""Lists of the small kinds: namespaces, services, config maps, secrets, accounts, leases."""

from __future__ import annotations

from engine.types import clock
from engine.types.core import Service

from ..render import cells
from ..render.text import inert
from .cluster import Cluster
from .column import Column, quiet
from .workloads import AGE, NAME, NAMESPACE


def _pods(cluster: Cluster, namespace: str) -> int:
    return sum(pod.metadata.namespace == namespace for pod in cluster.pods().values())


NAMESPACES = (
    NAME,
    Column(
        "STATUS",
        14,
        lambda c, n: n.status.phase,
        lambda c, n, w: cells.state(inert(n.status.phase or "Active")),
        key="S",
    ),
    Column(
        "PODS",
        5,
        lambda c, n: _pods(c, n.metadata.name),
        lambda c, n, w: ((str(_pods(c, n.metadata.name)), "text"),),
        right=True,
        down=True,
    ),
    AGE,
)


def ports(service: Service) -> str:
    """A service's ports as kubectl prints them."""
    return ",".join(f"{port.port}/{port.protocol or 'TCP'}" for port in service.spec.ports)


SERVICES = (
    NAMESPACE,
    NAME,
    Column(
        "TYPE", 12, lambda c, s: s.spec.type, lambda c, s, w: quiet(inert(s.spec.type), w), rank=3
    ),
    Column("CLUSTER-IP", 15, lambda c, s: inert(s.spec.cluster_ip)),
    Column("PORTS", 20, lambda c, s: ports(s), lambda c, s, w: quiet(ports(s), w), rank=2),
    AGE,
)

_DATA = Column(
    "DATA",
    5,
    lambda c, o: len(o.data),
    lambda c, o, w: ((str(len(o.data)), "text"),),
    right=True,
    down=True,
)
CONFIGMAPS = (NAMESPACE, NAME, _DATA, AGE)
SECRETS = (
    NAMESPACE,
    NAME,
    Column("TYPE", 28, lambda c, s: s.type, lambda c, s, w: quiet(inert(s.type), w), rank=3),
    _DATA,
    AGE,
)
PLAIN = (NAMESPACE, NAME, AGE)


def _renewed(cluster: Cluster, lease: object) -> str:
    stamp = lease.spec.renew_time  # type: ignore[attr-defined]
    return clock.age(stamp, cluster.now()) if stamp else "–"


LEASES = (
    NAMESPACE,
    NAME,
    Column("HOLDER", 24, lambda c, o: inert(o.spec.holder_identity or "–")),
    Column("RENEWED", 8, _renewed, lambda c, o, w: quiet(_renewed(c, o), w), right=True),
    AGE,
)
