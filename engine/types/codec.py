"""Objects to JSON and back.

Go writes an absent list or time as `null`; so a null always means absent here, whatever the
field's type.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
encode = msgspec.json.Encoder().encode
"""An object (declared, or plain dicts and lists) as JSON bytes."""


def decode(cls: type[T], data: bytes | str) -> T:
    """Read JSON as `cls`, tolerating unknown fields.

    Raise msgspec.ValidationError (a ValueError), whose text ends in a path like `$.spec.replicas`,
    when a field has the wrong type, and msgspec.DecodeError when it is not JSON.
    """
    decoder = _decoders.get(cls)
    if decoder is None:
        decoder = _decoders[cls] = msgspec.json.Decoder(cls)
    try:
        return decoder.decode(data)  # type: ignore[no-any-return]
    except msgspec.ValidationError:
        plain = msgspec.json.decode(data)
        stripped = without_nulls(plain)
        if stripped == plain:
            raise
        return msgspec.convert(stripped, cls)


def from_dict(cls: type[T], data: dict[str, Any]) -> T:
    """Read plain data as `cls`; raises as `decode` does."""
    try:
        return msgspec.convert(data, cls)
    except msgspec.ValidationError:
        stripped = without_nulls(data)
        if stripped == data:
            raise
        return msgspec.convert(stripped, cls)


def to_dict(obj: msgspec.Struct) -> dict[str, Any]:
    """Plain data with JSON names, owned by the caller (it shares nothing with `obj`)."""
    result: dict[str, Any] = msgspec.json.decode(encode(obj))
    return result


def clone(obj: S) -> S:
    """A deep copy. Objects from an informer are shared: change a clone, never the original."""
    return decode(type(obj), encode(obj))


def without_nulls(value: Any) -> Any:
    """The same data without object members that are null."""
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value
