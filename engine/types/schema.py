"""What the declarations say, for those who work on plain data: checking, patching, explaining.

Nothing is stated here that a declaration states: everything is read from the types' fields.
"""

from __future__ import annotations

import types
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from engine.types.declare import IntOrString, Quantity, Type
from engine.types.meta import Object

Shape = Literal["value", "object", "list", "map"]


@dataclass(frozen=True, slots=True)
class Field:
    """One declared field."""

    name: str
    """In JSON."""
    shape: Shape
    """`object` is a declared type, `map` a JSON object with free keys."""
    inner: Any
    """The type of the value, of a list's items, or of a map's values."""
    cls: type[Type] | None
    """`inner`, if it is a declared type."""
    text: str = ""
    tag: int | None = None
    merge_key: str = ""
    strategy: str = ""


@cache
def fields_of(cls: type[Type]) -> dict[str, Field]:
    """The fields of a declared type by JSON name."""
    return {f.encode_name: _field(f.encode_name, f.type) for f in msgspec.structs.fields(cls)}


def unknown_fields(cls: type[Type], data: dict[str, Any]) -> list[str]:
    """The paths of all fields that are not declared, such as spec.containers[0].foo, in the order
    of the data."""
    found: list[str] = []
    fields = fields_of(cls)
    for name, value in data.items():
        field = fields.get(name)
        if field is None:
            found.append(name)
        elif field.cls is not None:
            for place, each in _objects(field, value):
                if paths := unknown_fields(field.cls, each):
                    found += [f"{name}{place}.{path}" for path in paths]
    return found


def merge_keys(cls: type[Type]) -> dict[str, str]:
    """Path of each list that a strategic merge patch joins by a key -> that key, such as
    spec.template.spec.containers -> name."""
    found: dict[str, str] = {}
    for path, field in _walk(cls, ""):
        if field.merge_key:
            found[path] = field.merge_key
    return found


def openapi(cls: type[Type]) -> dict[str, dict[str, Any]]:
    """JSON schemas, as OpenAPI 3 writes them under components.schemas: of `cls` and of every type
    that it leads to, by the names of their classes."""
    found: dict[str, dict[str, Any]] = {}
    waiting = [cls]
    while waiting:
        current = waiting.pop()
        if current.__name__ in found:
            continue
        fields = fields_of(current)
        found[current.__name__] = {
            "type": "object",
            "description": " ".join((current.__doc__ or "").split()),
            "properties": {field.name: _schema(field) for field in fields.values()},
        }
        waiting += [field.cls for field in fields.values() if field.cls is not None]
    if issubclass(cls, Object):
        group, _, version = cls().api_version.rpartition("/")
        found[cls.__name__]["x-kubernetes-group-version-kind"] = [
            {"group": group, "version": version, "kind": cls().kind}
        ]
    return found


def _field(name: str, declared: Any) -> Field:
    meta = msgspec.Meta()
    if get_origin(declared) is Annotated:
        declared, meta = get_args(declared)[:2]
    inner = _without_none(declared)
    shape: Shape = "value"
    if get_origin(inner) is list:
        shape, inner = "list", get_args(inner)[0]
    elif get_origin(inner) is dict:
        shape, inner = "map", get_args(inner)[1]
    elif _is_declared(inner):
        shape = "object"
    cls = inner if _is_declared(inner) else None
    return Field(name, shape, inner, cls, meta.description or "", **(meta.extra or {}))


def _is_declared(inner: Any) -> bool:
    return isinstance(inner, type) and issubclass(inner, Type)


def _without_none(declared: Any) -> Any:
    """`X | None` as X."""
    if get_origin(declared) not in (Union, types.UnionType):
        return declared
    parts = [part for part in get_args(declared) if part is not types.NoneType]
    return Union[tuple(parts)]  # noqa: UP007  the parts are known only now


def _objects(field: Field, value: Any) -> list[tuple[str, dict[str, Any]]]:
    """The objects of the field's declared type within its value, each with its place there."""
    if field.shape == "object":
        return [("", value)] if isinstance(value, dict) else []
    if field.shape == "list" and isinstance(value, list):
        return [(f"[{i}]", item) for i, item in enumerate(value) if isinstance(item, dict)]
    if field.shape == "map" and isinstance(value, dict):
        return [(f".{k}", item) for k, item in value.items() if isinstance(item, dict)]
    return []


def _walk(cls: type[Type], prefix: str) -> list[tuple[str, Field]]:
    found: list[tuple[str, Field]] = []
    for name, field in fields_of(cls).items():
        path = f"{prefix}{name}"
        found.append((path, field))
        if field.cls is not None:
            found += _walk(field.cls, f"{path}.")
    return found


def _schema(field: Field) -> dict[str, Any]:
    inner = _type_schema(field.inner)
    schema: dict[str, Any] = inner
    if field.shape == "list":
        schema = {"type": "array", "items": inner}
    elif field.shape == "map":
        schema = {"type": "object", "additionalProperties": inner}
    elif "$ref" in inner:
        # A reference may have no siblings, so its text stands around it.
        schema = {"allOf": [inner]}
    schema["description"] = field.text
    if field.merge_key:
        schema["x-kubernetes-patch-merge-key"] = field.merge_key
    strategies = ["merge"] if field.merge_key else []
    if field.strategy:
        strategies.append(field.strategy)
    if strategies:
        schema["x-kubernetes-patch-strategy"] = ",".join(strategies)
    return schema


_PLAIN = {str: "string", int: "integer", bool: "boolean", float: "number"}


def _type_schema(declared: Any) -> dict[str, Any]:
    if declared == Quantity:
        return {"oneOf": [{"type": "string"}, {"type": "number"}]}
    if declared == IntOrString:
        return {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}
    if declared in _PLAIN:
        return {"type": _PLAIN[declared]}
    if get_origin(declared) is Literal:
        return {"type": "string", "enum": list(get_args(declared))}
    if _is_declared(declared):
        return {"$ref": f"#/components/schemas/{declared.__name__}"}
    if get_origin(declared) is dict:
        return {"type": "object"}
    return {}
