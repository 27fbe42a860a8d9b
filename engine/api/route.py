"""From a URL path to the resource, object and subresource that it names."""

from __future__ import annotations

from dataclasses import dataclass

from engine.types.registry import Resource, resource_for_path
from engine.types.status import NoSuchPath


@dataclass(frozen=True, slots=True)
class Route:
    """`namespace` is "" for cluster-scoped resources and for all namespaces at once."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def parse(path: str) -> Route:
    """Read /api/v1/... or /apis/GROUP/VERSION/...; raise NoSuchPath for anything not served."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise NoSuchPath
    namespace = ""
    # /namespaces/x/status is a subresource; /namespaces/x/pods lies inside the namespace.
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    resource = resource_for_path(group, version, rest[0])
    if resource is None or len(rest) > 3 or (namespace and not resource.namespaced):
        raise NoSuchPath
    name, subresource = (*rest[1:], "", "")[:2]
    if name and resource.namespaced and not namespace:
        raise NoSuchPath
    return Route(resource, namespace, name, subresource)
