"""What belongs to what: an object with its owners above it, and below it what it makes and uses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.types import registry
from engine.types.containers import Container
from engine.types.core import Node, Pod
from engine.types.images import Image
from engine.types.meta import Object, controller_of

from .cluster import Cluster

MOST = 200
"""Branches of one object; the rest is counted."""


@dataclass
class Branch:
    """One object, or a container (which is part of its pod). `more`: children left out."""

    kind: str
    """Plural, or `container`."""
    key: str
    name: str
    word: str = ""
    """What it is to its parent, or its image."""
    children: list[Branch] = field(default_factory=list)
    more: int = 0


def key_of(obj: Object) -> str:
    """As lists know it."""
    meta = obj.metadata
    return f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name


def tree(cluster: Cluster, kind: str, key: str) -> Branch | None:
    """From the topmost owner down to everything; None when there is no such object."""
    obj = cluster.get(kind, key)
    if obj is None:
        return None
    top = _topmost(cluster, kind, obj)
    return _branch(cluster, *top)


def _topmost(cluster: Cluster, kind: str, obj: Object) -> tuple[str, Object]:
    """Follow controllers upwards; an owner that is not known ends the way."""
    for _ in range(8):
        ref = controller_of(obj.metadata)
        resource = registry.find(ref.kind) if ref is not None else None
        if ref is None or resource is None:
            break
        namespace = obj.metadata.namespace if resource.namespaced else ""
        above = cluster.get(resource.plural, f"{namespace}/{ref.name}" if namespace else ref.name)
        if above is None:
            break
        kind, obj = resource.plural, above
    return kind, obj


def _branch(cluster: Cluster, kind: str, obj: Object, word: str = "") -> Branch:
    branch = Branch(kind, key_of(obj), obj.metadata.name, word)
    children = list(_children(cluster, kind, obj))
    branch.more = max(0, len(children) - MOST)
    branch.children = children[:MOST]
    return branch


def _children(cluster: Cluster, kind: str, obj: Object) -> Iterable[Branch]:
    if isinstance(obj, Pod):
        yield from _of_pod(cluster, obj)
    elif isinstance(obj, Node):
        yield from _pods(cluster, cluster.pods_on(obj.metadata.name))
    elif isinstance(obj, Image):
        yield from _pods(cluster, _users(cluster, obj))
    elif kind == "namespaces":
        yield from _of_namespace(cluster, obj.metadata.name)
    else:
        for below in sorted(cluster.owned("replicasets", obj), key=key_of):
            yield _branch(cluster, "replicasets", below)
        yield from _pods(cluster, cluster.owned("pods", obj))


def _pods(cluster: Cluster, pods: Iterable[Object]) -> Iterable[Branch]:
    for pod in sorted(pods, key=key_of):
        yield _branch(cluster, "pods", pod)


def _users(cluster: Cluster, image: Image) -> list[Pod]:
    names = set(image.references)
    return [
        pod
        for pod in cluster.pods().values()
        if any(container.image in names for container in pod.spec.containers)
    ]


def _of_namespace(cluster: Cluster, name: str) -> Iterable[Branch]:
    for kind in ("deployments", "replicasets", "jobs", "pods"):
        for _, obj in sorted(cluster.objects(kind).items()):
            if obj.metadata.namespace == name and controller_of(obj.metadata) is None:
                yield _branch(cluster, kind, obj)


def _of_pod(cluster: Cluster, pod: Pod) -> Iterable[Branch]:
    for container in pod.spec.init_containers or ():
        yield Branch("container", key_of(pod), container.name, f"init, {container.image}")
    for container in pod.spec.containers:
        yield Branch("container", key_of(pod), container.name, container.image)
    space = pod.metadata.namespace
    for kind, name, how in dict.fromkeys(_used(pod)):
        yield Branch(kind, f"{space}/{name}", name, how)
    if pod.spec.service_account_name:
        name = pod.spec.service_account_name
        yield Branch("serviceaccounts", f"{space}/{name}", name)
    if pod.spec.node_name:
        yield Branch("nodes", pod.spec.node_name, pod.spec.node_name)


def _used(pod: Pod) -> Iterable[tuple[str, str, str]]:
    """Kind, name and how, of the config maps, secrets and claims that a pod names."""
    for volume in pod.spec.volumes:
        how = f"volume {volume.name}"
        if volume.config_map is not None:
            yield "configmaps", volume.config_map.name, how
        if volume.secret is not None:
            yield "secrets", volume.secret.secret_name, how
        if volume.persistent_volume_claim is not None:
            yield "persistentvolumeclaims", volume.persistent_volume_claim.claim_name, how
        for source in volume.projected.sources if volume.projected else ():
            if source.config_map is not None:
                yield "configmaps", source.config_map.name, how
            if source.secret is not None:
                yield "secrets", source.secret.name, how
    for container in (*(pod.spec.init_containers or ()), *pod.spec.containers):
        yield from _environment(container)


def _environment(container: Container) -> Iterable[tuple[str, str, str]]:
    for source in container.env_from or ():
        if source.config_map_ref is not None:
            yield "configmaps", source.config_map_ref.name, "environment"
        if source.secret_ref is not None:
            yield "secrets", source.secret_ref.name, "environment"
    for variable in container.env or ():
        origin = variable.value_from
        if origin is not None and origin.config_map_key_ref is not None:
            yield "configmaps", origin.config_map_key_ref.name, f"${variable.name}"
        if origin is not None and origin.secret_key_ref is not None:
            yield "secrets", origin.secret_key_ref.name, f"${variable.name}"
