"""One line declares a field; everything that reads, writes, checks or patches it derives from it.

    image: Annotated[str, F("Image reference.", 2)] = ""

carries the Python name (and so the JSON name), the type, the default, a text, the protobuf tag, and
for lists how a strategic merge patch joins them. Decoding tolerates unknown fields, because the
bytes in the store, not these views, are what an object is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

_CAPITALS = {
    "ip": "IP",
    "ips": "IPs",
    "id": "ID",
    "cidr": "CIDR",
    "cidrs": "CIDRs",
    "uuid": "UUID",
    "pid": "PID",
    "ipc": "IPC",
    "api": "API",
    "fqdn": "FQDN",
}

Quantity = str | int | float
"""A Kubernetes quantity as written ("250m", "1Gi", 2); see engine.types.quantity."""

IntOrString = int | str
"""A number or a name (a port), or a number or a percentage ("25%")."""


def F(
    text: str, tag: int | None = None, *, merge_key: str = "", strategy: str = ""
) -> msgspec.Meta:
    """What a field's type does not say.

    tag: protobuf tag, where it is known.  merge_key: the key by which a strategic merge patch joins
    the items of a list of objects.  strategy: "merge" for a list of values joined as a set,
    "retainKeys" for an object or items of which a patch names the keys that stay.
    """
    extra = {"tag": tag, "merge_key": merge_key, "strategy": strategy}
    return msgspec.Meta(description=text, extra={k: v for k, v in extra.items() if v})


def json_name(name: str) -> str:
    """The JSON name of a Python field: pod_ips -> podIPs, continue_ -> continue."""
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(_CAPITALS.get(word) or word.capitalize() for word in rest)


def always(default: Any) -> Any:
    """A default that is written out too (`restartCount: 0`, `kind: Pod`), as Kubernetes does for
    some fields; `default` is a value, or a type to make an empty one of."""
    # msgspec leaves out what `list` and `dict` themselves made, but not what a function made.
    factory: Callable[[], Any] = (
        (lambda: default()) if isinstance(default, type) else lambda: default
    )
    return msgspec.field(default_factory=factory)


class Type(msgspec.Struct, kw_only=True, omit_defaults=True, rename=json_name, gc=False):
    """The base of every declared type. Objects form trees, never cycles, so the collector skips
    them (decoding is three times faster without it)."""
