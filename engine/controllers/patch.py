"""The smallest JSON merge patch (RFC 7386) that turns one object into another.

Controllers write patches, never whole objects: what they do not know of an object stays as it is.
"""

from typing import Any

import msgspec

from engine.types.codec import to_dict


def merge_patch(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Fields that differ; a field that went is null; lists are replaced whole. {} when equal."""
    patch: dict[str, Any] = dict.fromkeys(old.keys() - new.keys())
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            inner = merge_patch(before, value)
            if inner:
                patch[key] = inner
        elif before != value:
            patch[key] = value
    return patch


def difference(old: msgspec.Struct, new: msgspec.Struct) -> dict[str, Any]:
    """The merge patch between two states of one declared object."""
    return merge_patch(to_dict(old), to_dict(new))
