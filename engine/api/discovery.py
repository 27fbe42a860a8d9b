"""Discovery: which groups, versions and resources there are, in the old form and the aggregated.

Everything is derived from the registry, once. Documents carry an ETag of their content, for clients
keep them on disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from engine.api import metrics
from engine.api.request import JSON, Request, Response
from engine.types.codec import encode
from engine.types.registry import RESOURCES, Resource
from engine.types.status import MethodNotAllowed

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"

# (subresource, kind, group, version, verbs); None as group means those of the resource itself.
_Sub = tuple[str, str, str | None, str, tuple[str, ...]]
_PART = ("get", "patch", "update")


def _subresources(resource: Resource) -> list[_Sub]:
    found: list[_Sub] = []
    if resource.has_status:
        found.append(("status", resource.kind, None, "", _PART))
    if resource.has_scale:
        found.append(("scale", "Scale", "autoscaling", "v1", _PART))
    if resource.kind == "Pod":
        found += [
            ("binding", "Binding", None, "", ("create",)),
            ("eviction", "Eviction", "policy", "v1", ("create",)),
            ("ephemeralcontainers", "Pod", None, "", _PART),
            ("log", "Pod", None, "", ("get",)),
            ("attach", "PodAttachOptions", None, "", ("create", "get")),
            ("exec", "PodExecOptions", None, "", ("create", "get")),
            ("portforward", "PodPortForwardOptions", None, "", ("create", "get")),
            ("resize", "Pod", None, "", _PART),
        ]
    if resource.kind == "Namespace":
        found.append(("finalize", "Namespace", None, "", ("update",)))
    return found


def _groups() -> dict[tuple[str, str], list[Resource]]:
    """Resources by (group, version), in the registry's order; metrics, never stored, last."""
    found: dict[tuple[str, str], list[Resource]] = {}
    for resource in (*RESOURCES, *metrics.RESOURCES):
        found.setdefault((resource.group, resource.version), []).append(resource)
    return found


def _resource_list(group: str, version: str, resources: list[Resource]) -> dict[str, Any]:
    """What GET /api/v1 or /apis/GROUP/VERSION answers."""
    items = []
    for resource in resources:
        item: dict[str, Any] = {
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": list(resource.verbs),
        }
        if resource.short_names:
            item["shortNames"] = list(resource.short_names)
        if resource.categories:
            item["categories"] = list(resource.categories)
        items.append(item)
        for name, kind, sub_group, sub_version, verbs in _subresources(resource):
            sub: dict[str, Any] = {
                "name": f"{resource.plural}/{name}",
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": kind,
                "verbs": list(verbs),
            }
            if sub_group is not None:
                sub |= {"group": sub_group, "version": sub_version}
            items.append(sub)
    group_version = f"{group}/{version}" if group else version
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": items,
    }


def _group(name: str, versions: list[str]) -> dict[str, Any]:
    entries = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def _aggregated_resource(resource: Resource) -> dict[str, Any]:
    item: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": {
            "group": resource.group,
            "version": resource.version,
            "kind": resource.kind,
        },
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        item["shortNames"] = list(resource.short_names)
    if resource.categories:
        item["categories"] = list(resource.categories)
    subresources = [
        {
            "subresource": name,
            "responseKind": {
                "group": resource.group if group is None else group,
                "version": resource.version if group is None else version,
                "kind": kind,
            },
            "verbs": list(verbs),
        }
        for name, kind, group, version, verbs in _subresources(resource)
    ]
    if subresources:
        item["subresources"] = subresources
    return item


def _aggregated(core: bool, version: str) -> dict[str, Any]:
    items: dict[str, dict[str, Any]] = {}
    for (group, group_version), resources in _groups().items():
        if (group == "") is not core:
            continue
        meta: dict[str, Any] = {"name": group} if group else {}
        item = items.setdefault(group, {"metadata": meta, "versions": []})
        item["versions"].append(
            {
                "version": group_version,
                "resources": [_aggregated_resource(resource) for resource in resources],
                "freshness": "Current",
            }
        )
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": list(items.values()),
    }


def _documents() -> dict[tuple[str, str], bytes]:
    """Every answer by path and form ("" is the old one)."""
    groups = _groups()
    named: dict[str, list[str]] = {}
    for group, version in groups:
        if group:
            named.setdefault(group, []).append(version)
    plain: dict[str, Any] = {
        "/api": {
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        },
        "/apis": {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [_group(name, versions) for name, versions in named.items()],
        },
    }
    for name, versions in named.items():
        plain[f"/apis/{name}"] = {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}
    for (group, version), resources in groups.items():
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        plain[path] = _resource_list(group, version, resources)
    documents = {(path, ""): encode(document) for path, document in plain.items()}
    for version in ("v2", "v2beta1"):
        documents["/api", version] = encode(_aggregated(True, version))
        documents["/apis", version] = encode(_aggregated(False, version))
    return documents


class Discovery:
    """Answers of /api and /apis and what lies between them and the resources."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], bytes] = {}

    def answer(self, request: Request) -> Response | None:
        """None when the path is none of these."""
        if not self._made:
            self._made = _documents()
        path = request.path.rstrip("/")
        if (path, "") not in self._made:
            return None
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed
        form = _wanted(request.headers)
        if (path, form) not in self._made:
            form = ""
        content_type = AGGREGATED.format(version=form) if form else JSON
        return tagged(request, self._made[path, form], content_type)


def tagged(request: Request, document: bytes, content_type: str = JSON) -> Response:
    """The document with its ETag; 304 without it when the client has it already."""
    tag = f'"{hashlib.sha256(document).hexdigest()[:32].upper()}"'
    headers = {"ETag": tag, "Vary": "Accept", "Cache-Control": "public"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(304, b"", content_type, headers)
    return Response(200, document, content_type, headers)


def _wanted(headers: Mapping[str, str]) -> str:
    """The first acceptable form: "v2", "v2beta1", or "" for the old one."""
    for clause in headers.get("accept", "").split(","):
        parameters = dict(part.strip().partition("=")[::2] for part in clause.split(";")[1:])
        if parameters.get("as") == "APIGroupDiscoveryList":
            if parameters.get("v") in ("v2", "v2beta1"):
                return parameters["v"]
        elif clause.partition(";")[0].strip() in (JSON, "*/*"):
            return ""
    return ""
