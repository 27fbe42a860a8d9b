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
    text: str = ""
    tag: int | None = None
    merge_key: str = ""
    strategy: str = ""

    @property
    def cls(self) -> type[Type] | None:
        """The declared type of the object, of a list's items, or of a map's values."""
        return self.inner if isinstance(self.inner, type) and issubclass(self.inner, Type) else None


@cache
def fields_of(cls: type[Type]) -> dict[str, Field]:
    """The fields of a declared type by JSON name."""
    return {f.encode_name: _field(f.encode_name, f.type) for f in msgspec.structs.fields(cls)}


def unknown_fields(cls: type[Type], data: dict[str, Any]) -> list[str]:
    """The paths of all fields that are not declared, such as spec.containers[0].foo, in the order
    of the data."""
    return _unknown(cls, data, "")


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
    elif isinstance(inner, type) and issubclass(inner, Type):
        shape = "object"
    return Field(name, shape, inner, meta.description or "", **(meta.extra or {}))


def _without_none(declared: Any) -> Any:
    """`X | None` as X."""
    if get_origin(declared) not in (Union, types.UnionType):
        return declared
    parts = [part for part in get_args(declared) if part is not types.NoneType]
    return Union[tuple(parts)]  # noqa: UP007  the parts are known only now


def _unknown(cls: type[Type], data: dict[str, Any], prefix: str) -> list[str]:
    found: list[str] = []
    fields = fields_of(cls)
    for name, value in data.items():
        path = f"{prefix}{name}"
        field = fields.get(name)
        if field is None:
            found.append(path)
        elif field.cls is not None:
            for place, each in _objects(field, value, path):
                found += _unknown(field.cls, each, f"{place}.")
    return found


def _objects(field: Field, value: Any, path: str) -> list[tuple[str, dict[str, Any]]]:
    """The objects of the field's declared type within its value, with their paths."""
    pairs: list[tuple[str, Any]] = [(path, value)]
    if field.shape == "list":
        pairs = (
            [(f"{path}[{i}]", v) for i, v in enumerate(value)] if isinstance(value, list) else []
        )
    elif field.shape == "map":
        pairs = [(f"{path}.{k}", v) for k, v in value.items()] if isinstance(value, dict) else []
    return [(place, each) for place, each in pairs if isinstance(each, dict)]


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
    if isinstance(declared, type) and issubclass(declared, Type):
        return {"$ref": f"#/components/schemas/{declared.__name__}"}
    if get_origin(declared) is dict:
        return {"type": "object"}
    return {}
