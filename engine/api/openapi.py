"""OpenAPI v3, derived from the declared types: what `kubectl apply` and `kubectl explain` ask for.

One document per group and version. Its URL carries a hash of its content, for clients keep it for
ever. /openapi/v2, which only old clients need, is not served.
"""

from __future__ import annotations

import hashlib
from typing import Any

from engine.api.discovery import tagged
from engine.api.request import Request, Response
from engine.types import schema
from engine.types.codec import encode
from engine.types.registry import RESOURCES, Resource
from engine.types.status import MethodNotAllowed

_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation", "pretty")
_PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)


def _operation(resource: Resource, action: str, inputs: tuple[str, ...] = ()) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{_name(resource.kind, resource)}"}
    content = {"application/json": {"schema": reference}}
    operation: dict[str, Any] = {
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": "string"}} for name in _PARAMETERS
        ],
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {
            "group": resource.group,
            "version": resource.version,
            "kind": resource.kind,
        },
    }
    if inputs:
        operation["requestBody"] = {"content": {each: {"schema": {}} for each in inputs}}
    return operation


def _name(cls_name: str, resource: Resource) -> str:
    """Schema names as clients look for them: io.k8s.api.apps.v1.Deployment."""
    group = resource.group.partition(".")[0] or "core"
    return f"io.k8s.api.{group}.{resource.version}.{cls_name}"


def _document(resources: list[Resource]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for resource in resources:
        collection = resource.path()
        if resource.namespaced:
            collection = f"{resource.root}/namespaces/{{namespace}}/{resource.plural}"
        paths[collection] = {
            "get": _operation(resource, "list"),
            "post": _operation(resource, "post", ("application/json",)),
        }
        paths[f"{collection}/{{name}}"] = {
            "get": _operation(resource, "get"),
            "put": _operation(resource, "put", ("application/json",)),
            "patch": _operation(resource, "patch", _PATCHES),
            "delete": _operation(resource, "delete"),
        }
        for name, found in schema.openapi(resource.cls).items():
            schemas[_name(name, resource)] = _renamed(found, resource)
    info = {"title": "Podarium", "version": "v1"}
    return {
        "openapi": "3.0.0",
        "info": info,
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _renamed(data: Any, resource: Resource) -> Any:
    """The schema with references to the full names."""
    if isinstance(data, dict):
        return {
            key: f"#/components/schemas/{_name(value.rpartition('/')[2], resource)}"
            if key == "$ref"
            else _renamed(value, resource)
            for key, value in data.items()
        }
    if isinstance(data, list):
        return [_renamed(item, resource) for item in data]
    return data


class OpenAPI:
    """Answers below /openapi/v3; documents are made when first asked for."""

    def __init__(self) -> None:
        self._documents: dict[str, bytes] = {}

    def answer(self, parts: list[str], request: Request) -> Response | None:
        """None when the path is none of these."""
        if parts[:2] != ["openapi", "v3"]:
            return None
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed
        documents = self._made()
        if len(parts) == 2:
            return Response.of({"paths": {name: _entry(name, documents) for name in documents}})
        document = documents.get("/".join(parts[2:]))
        return None if document is None else tagged(request, document)

    def _made(self) -> dict[str, bytes]:
        if not self._documents:
            groups: dict[str, list[Resource]] = {}
            for resource in RESOURCES:
                groups.setdefault(resource.root.removeprefix("/"), []).append(resource)
            self._documents = {name: encode(_document(each)) for name, each in groups.items()}
        return self._documents


def _entry(name: str, documents: dict[str, bytes]) -> dict[str, str]:
    digest = hashlib.sha256(documents[name]).hexdigest().upper()
    return {"serverRelativeURL": f"/openapi/v3/{name}?hash={digest}"}
