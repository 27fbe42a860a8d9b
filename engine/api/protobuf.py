"""Bodies in protobuf, which kubectl and every typed Go client send: read by the declared tags.

The envelope is `k8s\\0` and a runtime.Unknown message. Answers stay JSON: those clients accept it.
Encoding: https://protobuf.dev/programming-guides/encoding; messages: k8s.io/api/*/generated.proto.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from engine.api.actions import ACTIONS
from engine.types import clock
from engine.types.apps import DeploymentCondition
from engine.types.batch import JobCondition
from engine.types.containers import (
    ConfigMapEnvSource,
    ConfigMapKeySelector,
    Container,
    EphemeralContainer,
    Probe,
    SecretEnvSource,
    SecretKeySelector,
)
from engine.types.core import ConfigMap, Secret
from engine.types.declare import IntOrString, Quantity, Type
from engine.types.meta import Condition, DeleteOptions
from engine.types.nodes import NodeCondition
from engine.types.pods import PodCondition
from engine.types.registry import resource_for_kind
from engine.types.schema import Field, fields_of
from engine.types.status import BadRequest
from engine.types.volumes import ConfigMapProjection, ConfigMapVolume, SecretProjection, Volume

MAGIC = b"k8s\0"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# Messages that Go embeds: class -> (tag of the embedded message, its tags by JSON name).
_EMBEDDED: dict[type[Type], tuple[int, dict[str, int]]] = {
    Volume: (
        2,
        {
            "hostPath": 1,
            "emptyDir": 2,
            "secret": 6,
            "persistentVolumeClaim": 10,
            "downwardAPI": 16,
            "configMap": 19,
            "projected": 26,
        },
    ),
    Probe: (1, {"exec": 1, "httpGet": 2, "tcpSocket": 3, "grpc": 4}),
    **{
        cls: (1, {"name": 1})
        for cls in (
            *(ConfigMapVolume, ConfigMapProjection, ConfigMapKeySelector, ConfigMapEnvSource),
            *(SecretProjection, SecretKeySelector, SecretEnvSource),
        )
    },
}
# Conditions share their Python type but not their tags.
_LATER = {"lastTransitionTime": 4, "reason": 5, "message": 6}
_TAGS: dict[type[Type], dict[str, int]] = {
    Condition: {"lastTransitionTime": 3, "reason": 4, "message": 5},
    PodCondition: _LATER,
    NodeCondition: _LATER,
    JobCondition: _LATER,
    DeploymentCondition: {"reason": 4, "message": 5, "lastTransitionTime": 7},
}
_MESSAGES: dict[tuple[type[Type], str], dict[int, str]] = {
    (DeleteOptions, "preconditions"): {1: "uid", 2: "resourceVersion"}
}
_RAW_VALUES: set[tuple[type[Type], str]] = {(Secret, "data"), (ConfigMap, "binaryData")}
_TIMES = ("Time", "Timestamp", "At", "timeAdded")


class _Truncated(ValueError):
    """The bytes end in the middle of a value."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a tag's value goes: a field, or the fields of an embedded message."""

    field: Field | None = None
    embedded: dict[int, _Place] | None = None


def parse(body: bytes) -> dict[str, Any]:
    """The object as plain data with JSON names. Raise BadRequest."""
    if not body.startswith(MAGIC):
        raise BadRequest("the body of the request is not Kubernetes protobuf: no k8s\\0 prefix")
    try:
        api_version, kind, raw = _envelope(body[len(MAGIC) :])
        cls = _class(api_version, kind)
        return {"apiVersion": api_version, "kind": kind, **_message(cls, _places(cls), raw)}
    except (_Truncated, UnicodeDecodeError) as error:
        raise BadRequest(f"the body of the request is not protobuf: {error}") from error


def _class(api_version: str, kind: str) -> type[Type]:
    if kind == "DeleteOptions":  # it comes with any group's version
        return DeleteOptions
    resource = resource_for_kind(api_version, kind) or ACTIONS.get((api_version, kind))
    if resource is None:
        raise BadRequest(f'no kind "{kind}" is registered for version "{api_version}"')
    return resource.cls


def _envelope(data: bytes) -> tuple[str, str, bytes]:
    api_version = kind = ""
    raw = b""
    for tag, value in _entries(data):
        if tag == 1 and isinstance(value, bytes):
            words = {tag: text for tag, text in _entries(value) if isinstance(text, bytes)}
            api_version = words.get(1, b"").decode()
            kind = words.get(2, b"").decode()
        elif tag == 2 and isinstance(value, bytes):
            raw = value
    return api_version, kind, raw


@cache
def _places(cls: type[Type]) -> dict[int, _Place]:
    fields = fields_of(cls)
    if cls is EphemeralContainer:
        return {
            1: _Place(embedded=_places(Container)),
            2: _Place(fields["targetContainerName"]),
        }
    tags = {name: field.tag for name, field in fields.items()} | _TAGS.get(cls, {})
    places = {tag: _Place(fields[name]) for name, tag in tags.items() if tag is not None}
    if cls in _EMBEDDED:
        outer, inner = _EMBEDDED[cls]
        places[outer] = _Place(embedded={tag: _Place(fields[name]) for name, tag in inner.items()})
    return places


def _message(cls: type[Type], places: dict[int, _Place], data: bytes) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for tag, value in _entries(data):
        place = places.get(tag)
        if place is None:
            if value:
                # Zero values of fields we do not know are always sent; anything else would be lost.
                raise BadRequest(
                    f"{cls.__name__} has a field with protobuf tag {tag} that this server does not"
                    " know; send the object as JSON to see its name"
                )
        elif place.embedded is not None:
            result |= _message(cls, place.embedded, _bytes(value))
        elif place.field is not None and place.field.name != "managedFields":
            if place.field.inner is not Any:
                _store(result, cls, place.field, value)
            elif value:
                raise BadRequest(
                    f"{cls.__name__}.{place.field.name} cannot be read from protobuf; send the"
                    " object as JSON"
                )
    return result


def _store(result: dict[str, Any], cls: type[Type], field: Field, value: int | bytes) -> None:
    name = field.name
    if (cls, name) in _MESSAGES:
        names = _MESSAGES[cls, name]
        result[name] = {names[t]: _bytes(v).decode() for t, v in _entries(_bytes(value))}
    elif field.shape == "map":
        key, content = _map_entry(_bytes(value))
        item: Any = b64encode(content).decode()
        if (cls, name) not in _RAW_VALUES:
            item = _value(replace(field, shape="value"), content)
        result.setdefault(name, {})[key] = item
    elif field.shape == "list":
        item_field = replace(field, shape="object" if field.cls else "value")
        items = result.setdefault(name, [])
        if field.inner is int and isinstance(value, bytes):
            items += _packed(value)
        else:
            items.append(_value(item_field, value))
    else:
        found = _value(field, value)
        if found is not None:
            result[name] = found


def _value(field: Field, value: int | bytes) -> Any:
    if field.cls is not None:
        return _message(field.cls, _places(field.cls), _bytes(value))
    if isinstance(value, int):
        if field.inner is bool:
            return bool(value)
        return value - (1 << 64) if value >= 1 << 63 else value
    if field.inner == Quantity:
        return next((_bytes(text).decode() for tag, text in _entries(value) if tag == 1), "0")
    if field.inner == IntOrString:
        return _int_or_string(value)
    if field.inner is str:
        return _time(value) if field.name.endswith(_TIMES) else value.decode()
    raise BadRequest(f"{field.name} cannot be read from protobuf; send the object as JSON")


def _int_or_string(data: bytes) -> int | str:
    entries = dict(_entries(data))
    if entries.get(1):
        return _bytes(entries.get(3, b"")).decode()
    number = entries.get(2, 0)
    if isinstance(number, bytes):
        raise _Truncated("a number is missing")
    return number - (1 << 64) if number >= 1 << 63 else number


def _time(data: bytes) -> str | None:
    """A Timestamp; the zero time, which Go always sends, is no time."""
    entries = dict(_entries(data))
    seconds, nanos = entries.get(1, 0), entries.get(2, 0)
    if isinstance(seconds, bytes) or isinstance(nanos, bytes):
        raise _Truncated("a time is malformed")
    if not seconds and not nanos:
        return None
    if seconds >= 1 << 63:
        raise BadRequest("a time before 1970 cannot be read from protobuf")
    return clock.format_micro(seconds + nanos / 1e9) if nanos else clock.format(seconds)


def _map_entry(data: bytes) -> tuple[str, bytes]:
    entries = dict(_entries(data))
    return _bytes(entries.get(1, b"")).decode(), _bytes(entries.get(2, b""))


def _packed(data: bytes) -> Iterator[int]:
    position = 0
    while position < len(data):
        number, position = _varint(data, position)
        yield number


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise _Truncated("a number stands where text or a message belongs")
    return value


def _entries(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Tags with their values, in order."""
    position = 0
    while position < len(data):
        header, position = _varint(data, position)
        tag, wire = header >> 3, header & 7
        if wire == _VARINT:
            number, position = _varint(data, position)
            yield tag, number
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(wire)
        if wire == _BYTES:
            size, position = _varint(data, position)
        if size is None:
            raise _Truncated(f"wire type {wire} at byte {position}")
        if position + size > len(data):
            raise _Truncated(f"a value of {size} bytes at byte {position} is cut off")
        yield tag, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while shift < 70:
        if position >= len(data):
            raise _Truncated("a number is cut off at the end")
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & (1 << 64) - 1, position
        shift += 7
    raise _Truncated(f"a number at byte {position} is too long")
