"""Which objects a request means: labels and fields, read from an object's bytes.

Only what the selectors ask for is decoded, not the object.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from engine.store.entry import Entry
from engine.types import fields, selector
from engine.types.registry import Resource
from engine.types.status import BadRequest

# Beside metadata.name and metadata.namespace, as pkg/apis/*/v1/conversion.go: label -> (path of the
# field, what an absent field counts as).
_FIELDS: dict[str, dict[str, tuple[str, str]]] = {
    "Pod": {
        "spec.nodeName": ("spec.nodeName", ""),
        "spec.restartPolicy": ("spec.restartPolicy", ""),
        "spec.schedulerName": ("spec.schedulerName", ""),
        "spec.serviceAccountName": ("spec.serviceAccountName", ""),
        "spec.hostNetwork": ("spec.hostNetwork", "false"),
        "status.phase": ("status.phase", ""),
        "status.podIP": ("status.podIP", ""),
        "status.nominatedNodeName": ("status.nominatedNodeName", ""),
    },
    "Node": {"spec.unschedulable": ("spec.unschedulable", "false")},
    "Namespace": {"status.phase": ("status.phase", "")},
    "Secret": {"type": ("type", "")},
    "ReplicaSet": {"status.replicas": ("status.replicas", "0")},
    "Job": {"status.successful": ("status.succeeded", "0")},
    "Event": {
        **{
            f"involvedObject.{name}": (f"involvedObject.{name}", "")
            for name in (
                *("kind", "namespace", "name", "uid"),
                *("apiVersion", "resourceVersion", "fieldPath"),
            )
        },
        "reason": ("reason", ""),
        "reportingComponent": ("reportingComponent", ""),
        "source": ("source.component", ""),
        "type": ("type", ""),
    },
}


class Selection:
    """Labels and fields that must match. Equal texts select equally, so watches can be shared."""

    def __init__(self, resource: Resource, labels: str = "", fields_text: str = "") -> None:
        """Raise BadRequest for a selector that cannot be read, or asks for an unknown field."""
        try:
            self._labels = selector.parse(labels)
            wanted = fields.parse(fields_text)
        except ValueError as error:
            raise BadRequest(str(error)) from error
        self.key = (str(self._labels), str(wanted))
        self.name = wanted.required("metadata.name")
        known = _FIELDS.get(resource.kind, {})
        self._by_key: list[tuple[int, bool, str]] = []
        self._by_field: list[tuple[list[str], str, bool, str]] = []
        for term in wanted.terms:
            if term.path in ("metadata.name", "metadata.namespace"):
                part = 2 if term.path == "metadata.name" else 1
                self._by_key.append((part, term.equal, term.value))
            elif term.path in known:
                path, absent = known[term.path]
                self._by_field.append((path.split("."), absent, term.equal, term.value))
            else:
                raise BadRequest(f"field label not supported: {term.path}")
        paths = {".".join(path) for path, *_ in self._by_field}
        if self._labels:
            paths.add("metadata.labels")
        self._decoder = _decoder(frozenset(paths)) if paths else None

    def matches(self, entry: Entry) -> bool:
        for part, equal, value in self._by_key:
            if (entry.key[part] == value) is not equal:
                return False
        if self._decoder is None:
            return True
        view = self._decoder.decode(entry.value)
        for path, absent, equal, value in self._by_field:
            if (_text(view, path, absent) == value) is not equal:
                return False
        return not self._labels or self._labels.matches(_labels(view))


def _text(view: Any, path: list[str], absent: str) -> str:
    for name in path:
        view = getattr(view, name, None)
    if view is None:
        return absent
    return str(view).lower() if isinstance(view, bool) else str(view)


def _labels(view: Any) -> Mapping[str, str]:
    labels: dict[str, str] | None = getattr(view.metadata, "labels", None)
    return labels or {}


@lru_cache(maxsize=256)
def _decoder(paths: frozenset[str]) -> msgspec.json.Decoder[Any]:
    """Reads only the fields at `paths`; the parser skips all else."""
    tree: dict[str, Any] = {}
    for path in paths:
        place = tree
        for name in path.split("."):
            place = place.setdefault(name, {})
    return msgspec.json.Decoder(_view(tree))


def _view(tree: dict[str, Any]) -> Any:
    if not tree:
        return Any
    members = [(name, _view(below) | None if below else Any, None) for name, below in tree.items()]
    return msgspec.defstruct("View", members, gc=False)
