"""The forms in which objects are answered: whole, only metadata, or a table for people.

A form turns stored bytes into answer bytes. Equal forms give equal bytes, so watchers that want the
same one share each event's encoding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from engine.api.table import printer
from engine.types.clock import Clock
from engine.types.codec import encode
from engine.types.registry import Resource
from engine.types.status import NotAcceptable

META = "meta.k8s.io"
_VERSIONS = ("v1", "v1beta1")


class Form(Protocol):
    """How one object, and a list of them, are written."""

    key: tuple[str, ...]

    def one(self, value: bytes) -> bytes: ...

    def many(self, values: Sequence[bytes], revision: int) -> bytes: ...


def frame(kind: str, body: bytes) -> bytes:
    """A watch event: one line of JSON."""
    return b'{"type":"%s","object":%s}\n' % (kind.encode(), body)


class Whole:
    """Objects as they are stored: their bytes go out untouched."""

    key: tuple[str, ...] = ("whole",)

    def __init__(self, resource: Resource) -> None:
        self._kind, self._version = resource.kind, resource.api_version

    def one(self, value: bytes) -> bytes:
        return value

    def many(self, values: Sequence[bytes], revision: int) -> bytes:
        return _list(f"{self._kind}List", self._version, values, revision)


class _OnlyMetadata(msgspec.Struct, gc=False):
    metadata: msgspec.Raw


_metadata = msgspec.json.Decoder(_OnlyMetadata)


class Metadata:
    """PartialObjectMetadata: the kind is that of the form, not of the object."""

    def __init__(self, version: str) -> None:
        self._version = f"{META}/{version}"
        self.key: tuple[str, ...] = ("metadata", version)
        self._head = b'{"kind":"PartialObjectMetadata","apiVersion":"%s","metadata":' % (
            self._version.encode()
        )

    def one(self, value: bytes) -> bytes:
        return self._head + bytes(_metadata.decode(value).metadata) + b"}"

    def many(self, values: Sequence[bytes], revision: int) -> bytes:
        items = [self.one(value) for value in values]
        return _list("PartialObjectMetadataList", self._version, items, revision)


class Table:
    """What kubectl prints: columns, and a row of cells per object."""

    def __init__(self, resource: Resource, version: str, include: str, now: Clock) -> None:
        """`include` says what a row carries of its object: None, Metadata or Object."""
        self.key: tuple[str, ...] = ("table", version, include)
        self._resource, self._now = resource, now
        self._version = f"{META}/{version}"
        self._row = _row_object(Metadata(version), include)

    def one(self, value: bytes) -> bytes:
        return self._table([value], None)

    def many(self, values: Sequence[bytes], revision: int) -> bytes:
        return self._table(values, revision)

    def _table(self, values: Sequence[bytes], revision: int | None) -> bytes:
        columns = printer(self._resource)
        now = self._now()
        rows = []
        for value in values:
            row: dict[str, Any] = {"cells": columns.cells(value, now)}
            if self._row is not None:
                row["object"] = msgspec.Raw(self._row(value))
            rows.append(row)
        return encode(
            {
                "kind": "Table",
                "apiVersion": self._version,
                "metadata": {} if revision is None else {"resourceVersion": str(revision)},
                "columnDefinitions": columns.definitions,
                "rows": rows,
            }
        )


def _row_object(metadata: Metadata, include: str) -> Callable[[bytes], bytes] | None:
    if include == "None":
        return None
    return (lambda value: value) if include == "Object" else metadata.one


def _list(kind: str, version: str, items: Sequence[bytes], revision: int) -> bytes:
    head = b'{"kind":"%s","apiVersion":"%s","metadata":{"resourceVersion":"%d"},"items":['
    return head % (kind.encode(), version.encode(), revision) + b",".join(items) + b"]}\n"


def choose(accept: str, resource: Resource, include: str, now: Clock) -> Form:
    """The first form in the Accept header that is served. Raise NotAcceptable."""
    for clause in accept.split(",") if accept else ["*/*"]:
        media, *rest = (part.strip() for part in clause.split(";"))
        parameters = dict(part.partition("=")[::2] for part in rest)
        if media not in ("application/json", "application/*", "*/*"):
            continue
        wanted = parameters.get("as", "")
        if not wanted:
            return Whole(resource)
        if parameters.get("g") != META or parameters.get("v") not in _VERSIONS:
            continue
        if wanted == "Table":
            return Table(resource, parameters["v"], include or "Metadata", now)
        if wanted in ("PartialObjectMetadata", "PartialObjectMetadataList"):
            return Metadata(parameters["v"])
    raise NotAcceptable(
        (
            "application/json",
            f"application/json;as=Table;v=v1;g={META}",
            f"application/json;as=PartialObjectMetadata;v=v1;g={META}",
        )
    )
