"""Objects to JSON and back.

Go writes an absent list or time as `null`; so a null always means absent here, whatever the
field's type.
"""

from __future__ import annotations

import gc
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

MUCH = 1 << 20
"""Bytes from which reading holds the collector."""

_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
encode = msgspec.json.Encoder().encode
"""An object (declared, or plain dicts and lists) as JSON bytes."""


def decode(cls: type[T], data: bytes | str) -> T:
    """Read JSON as `cls`, tolerating unknown fields.

    Raise msgspec.ValidationError (a ValueError), whose text ends in a path like `$.spec.replicas`,
    when a field has the wrong type, and msgspec.DecodeError when it is not JSON.
    """
    decoder: msgspec.json.Decoder[T] | None = _decoders.get(cls)
    if decoder is None:
        decoder = _decoders[cls] = msgspec.json.Decoder(cls)
    try:
        return _decode_much(decoder, data) if len(data) >= MUCH else decoder.decode(data)
    except msgspec.ValidationError:
        plain = msgspec.json.decode(data)
        stripped = without_nulls(plain)
        if stripped == plain:
            raise
        return msgspec.convert(stripped, cls)


def _decode_much(decoder: msgspec.json.Decoder[T], data: bytes | str) -> T:
    """Hold the cyclic collector while much is read: it would look again and again at a tree that
    has no cycles (10,000 pods: 0.2 s instead of 0.7 s)."""
    if not gc.isenabled():
        return decoder.decode(data)
    gc.disable()
    try:
        return decoder.decode(data)
    finally:
        gc.enable()


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
