"""Every resource that the API serves, with its names and its paths.

A resource is found by whatever a person calls it (po, pod, pods, Pod, deployments.apps) and by the
path parts that a request carries.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from engine.types import apps, batch, coordination, core, images
from engine.types.meta import Object

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind and how the API serves it."""

    version: str
    kind: str
    plural: str
    cls: type[Object] = field(repr=False)
    group: str = ""
    """"" is the core group."""
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = VERBS
    has_status: bool = False
    has_scale: bool = False
    durable: bool = True
    """False when the store may forget it at a restart: what reports it will report it again."""

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """Plural with group, as error messages name it: pods, deployments.apps."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        """Kind with group, as validation messages name it: Pod, Deployment.apps."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def key(self) -> str:
        """The store's name for it: pods, apps/deployments."""
        return f"{self.group}/{self.plural}" if self.group else self.plural

    @property
    def root(self) -> str:
        """The path of the group's version: /api/v1, /apis/apps/v1."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
        """The URL path of an object, or without `name` of the collection. `namespace` is left out
        for cluster-scoped resources; without one the collection of all namespaces is meant."""
        parts = [self.root]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


RESOURCES: tuple[Resource, ...] = (
    Resource(
        "v1", "Pod", "pods", core.Pod, short_names=("po",), categories=("all",), has_status=True
    ),
    Resource(
        "v1", "Node", "nodes", core.Node, short_names=("no",), namespaced=False, has_status=True
    ),
    Resource(
        "v1",
        "Namespace",
        "namespaces",
        core.Namespace,
        short_names=("ns",),
        namespaced=False,
        has_status=True,
    ),
    Resource(
        "v1",
        "Service",
        "services",
        core.Service,
        short_names=("svc",),
        categories=("all",),
        has_status=True,
    ),
    Resource("v1", "ConfigMap", "configmaps", core.ConfigMap, short_names=("cm",)),
    Resource("v1", "Secret", "secrets", core.Secret),
    Resource("v1", "ServiceAccount", "serviceaccounts", core.ServiceAccount, short_names=("sa",)),
    Resource("v1", "Event", "events", core.Event, short_names=("ev",), durable=False),
    Resource(
        "v1",
        "Deployment",
        "deployments",
        apps.Deployment,
        group="apps",
        short_names=("deploy",),
        categories=("all",),
        has_status=True,
        has_scale=True,
    ),
    Resource(
        "v1",
        "ReplicaSet",
        "replicasets",
        apps.ReplicaSet,
        group="apps",
        short_names=("rs",),
        categories=("all",),
        has_status=True,
        has_scale=True,
    ),
    Resource("v1", "Job", "jobs", batch.Job, group="batch", categories=("all",), has_status=True),
    Resource(
        "v1",
        "Lease",
        "leases",
        coordination.Lease,
        group="coordination.k8s.io",
        durable=False,
    ),
    Resource(
        "v1",
        "Image",
        "images",
        images.Image,
        group="podarium.io",
        short_names=("img",),
        namespaced=False,
        durable=False,
    ),
)

_by_class = {resource.cls: resource for resource in RESOURCES}
_by_path = {(r.group, r.version, r.plural): r for r in RESOURCES}
_by_kind = {(r.api_version, r.kind): r for r in RESOURCES}
_by_name: dict[str, Resource] = {}
for _resource in reversed(RESOURCES):
    for _name in (_resource.plural, _resource.singular, *_resource.short_names):
        _by_name[_name] = _resource
        if _resource.group:
            _by_name[f"{_name}.{_resource.group}"] = _resource
            _by_name[f"{_name}.{_resource.version}.{_resource.group}"] = _resource


def resource_for(cls: type[Object]) -> Resource:
    """The resource of a declared kind. Raise KeyError for a kind that is not served by itself."""
    return _by_class[cls]


def resource_for_path(group: str, version: str, plural: str) -> Resource | None:
    """The resource that a URL path names; `group` is "" for the core group."""
    return _by_path.get((group, version, plural))


def resource_for_kind(api_version: str, kind: str) -> Resource | None:
    """The resource of an object's own words, such as ("apps/v1", "Deployment")."""
    return _by_kind.get((api_version, kind))


def find(name: str) -> Resource | None:
    """The resource that a person calls `name`: plural, singular, short name or kind, in any case,
    and with its group if wanted ("deployments.apps", "deployments.v1.apps")."""
    return _by_name.get(name.lower())
