"""Apply: make an object what its manifest says, creating it where there is none.

The manifest is laid over the living object as a merge patch (RFC 7386), so that fields set by
others, such as a Deployment's scale, stay unless the manifest names them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import yaml

from engine.client.client import Client
from engine.types import codec
from engine.types.registry import Resource, resource_for_kind
from engine.types.status import NotFound


class ManifestError(ValueError):
    """A document that is no Kubernetes object; names the source and the document's number."""


@dataclass(frozen=True)
class Manifest:
    """One document: its kind, and the object as written."""

    resource: Resource
    body: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    def namespace(self, default: str) -> str | None:
        """None for what lives in no namespace."""
        if not self.resource.namespaced:
            return None
        return str(self.body["metadata"].get("namespace") or default)


def read_manifests(text: str, source: str) -> list[Manifest]:
    """The objects in a YAML or JSON text, `List`s taken apart. Raises ManifestError."""
    documents = _documents(text, source)
    found: list[Manifest] = []
    for number, document in enumerate(documents, 1):
        if document is None:
            continue
        where = f"{source}, document {number}"
        items = document.get("items") if _is_list(document) else [document]
        found += [_manifest(item, where) for item in items or []]
    return found


def _documents(text: str, source: str) -> list[Any]:
    """JSON is read as JSON: YAML takes the two halves of an escaped character beyond U+FFFF for two
    characters, of which neither can be written."""
    try:
        return [json.loads(text)]
    except json.JSONDecodeError:
        pass  # it is YAML, or wrong in a way that YAML tells better
    try:
        return list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise ManifestError(f"{source}: {error}") from None


def _is_list(document: object) -> bool:
    return isinstance(document, dict) and document.get("kind") == "List"


def _manifest(document: object, where: str) -> Manifest:
    if not isinstance(document, dict):
        raise ManifestError(f"{where}: an object is a mapping, this is {type(document).__name__}")
    version, kind = document.get("apiVersion"), document.get("kind")
    for field, value in (("apiVersion", version), ("kind", kind)):
        if not isinstance(value, str):
            raise ManifestError(f"{where}: {field} is missing")
    resource = resource_for_kind(str(version), str(kind))
    if resource is None:
        raise ManifestError(f'{where}: no matches for kind "{kind}" in version "{version}"')
    try:
        codec.encode(document)
    except UnicodeEncodeError as error:
        raise ManifestError(f"{where}: {error.object!r} is no text: {error.reason}") from None
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        raise ManifestError(f"{where}: {kind}: metadata.name is missing")
    return Manifest(resource, document)


async def apply(client: Client, manifest: Manifest, default_namespace: str = "default") -> str:
    """Create or patch one object; return "created", "configured" or "unchanged".

    Raises StatusError when the API refuses it.
    """
    resource, namespace = manifest.resource, manifest.namespace(default_namespace)
    try:
        before = await client.get_raw(resource.cls, manifest.name, namespace)
    except NotFound:
        body = {**manifest.body}
        if namespace:
            body["metadata"] = {**body["metadata"], "namespace": namespace}
        await client.create_raw(resource.cls, body, namespace)
        return "created"
    patch = {key: value for key, value in manifest.body.items() if key != "status"}
    after = await client.patch(resource.cls, manifest.name, namespace, patch)
    unchanged = after.metadata.resource_version == before["metadata"]["resourceVersion"]
    return "unchanged" if unchanged else "configured"
