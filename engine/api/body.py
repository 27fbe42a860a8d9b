"""From a request's bytes to an object: JSON, YAML or protobuf, of the right kind."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.api.request import JSON, Request
from engine.types import codec, schema
from engine.types.meta import Object
from engine.types.registry import Resource
from engine.types.status import BadRequest, UnsupportedMediaType

YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
ACCEPTED = (JSON, YAML, PROTOBUF)
FIELD_VALIDATION = ("Ignore", "Strict", "Warn")


def media_type(request: Request) -> str:
    """The body's type without parameters; JSON when the client names none, as Kubernetes does."""
    return request.headers.get("content-type", "").partition(";")[0].strip() or JSON


def parse(request: Request) -> dict[str, Any]:
    """The body as plain data. Raise UnsupportedMediaType or BadRequest."""
    kind = media_type(request)
    if kind not in ACCEPTED:
        raise UnsupportedMediaType(ACCEPTED)
    if kind == PROTOBUF:
        from engine.api import protobuf

        return protobuf.parse(request.body)
    if kind == YAML:
        return parse_yaml(request.body)
    return parse_json(request.body)


def parse_json(body: bytes) -> dict[str, Any]:
    try:
        data = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise BadRequest(f"the body of the request is not JSON: {error}") from error
    return _mapping(data)


def parse_yaml(body: bytes) -> dict[str, Any]:
    import yaml

    try:
        data = yaml.safe_load(body)
    except yaml.YAMLError as error:
        raise BadRequest(f"the body of the request is not YAML: {error}") from error
    return _mapping(data)


def _mapping(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise BadRequest("the body of the request is not an object")
    return data


def object_of(data: dict[str, Any], resource: Resource, request: Request) -> Object:
    """`data` as an object of `resource`; say or refuse the fields that do not exist.

    Raise BadRequest when it is of another kind or a field has the wrong type.
    """
    given = (data.get("apiVersion") or resource.api_version, data.get("kind") or resource.kind)
    if given != (resource.api_version, resource.kind):
        raise BadRequest(
            f"{given[1]} in version {given[0]!r} cannot be handled as a {resource.kind}:"
            f" the path serves {resource.kind} in version {resource.api_version!r}"
        )
    _check_fields(data, resource, request)
    try:
        obj = codec.from_dict(resource.cls, data)
    except msgspec.ValidationError as error:
        raise BadRequest(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a'
            f" {resource.kind}: {error}"
        ) from error
    obj.api_version, obj.kind = resource.api_version, resource.kind
    return obj


def _check_fields(data: dict[str, Any], resource: Resource, request: Request) -> None:
    """Fields that do not exist are refused, told, or ignored, as `fieldValidation` says."""
    mode = request.query.get("fieldValidation") or "Warn"
    if mode not in FIELD_VALIDATION:
        raise BadRequest(
            f'fieldValidation: Unsupported value: "{mode}": supported values: '
            + ", ".join(f'"{each}"' for each in FIELD_VALIDATION)
        )
    if mode == "Ignore":
        return
    faults = [f'unknown field "{path}"' for path in schema.unknown_fields(resource.cls, data)]
    if faults and mode == "Strict":
        raise BadRequest(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a'
            f" {resource.kind}: strict decoding error: {', '.join(faults)}"
        )
    request.warnings += faults
