"""Strategic merge patch: a merge patch that joins lists by the keys their types declare.

Containers, ports, volumes and the like are joined by merge key instead of being replaced. The
directives are `$patch` (replace, delete, merge), `$retainKeys`, `$setElementOrder/LIST` and
`$deleteFromPrimitiveList/LIST`; see Kubernetes' sig-api-machinery/strategic-merge-patch.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.types.declare import Type
from engine.types.schema import Field, fields_of
from engine.types.status import BadRequest

PATCH = "$patch"
RETAIN = "$retainKeys"
ORDER = "$setElementOrder/"
DELETE_FROM = "$deleteFromPrimitiveList/"


def strategic_merge(target: Any, patch: dict[str, Any], cls: type[Type] | None) -> Any:
    """`target` changed by `patch`, as the fields of `cls` say; without one, a plain merge.

    Raise BadRequest for a directive that makes no sense.
    """
    directive = patch.get(PATCH, "merge")
    plain = {key: value for key, value in patch.items() if not key.startswith("$")}
    if directive == "delete":
        return {}
    if directive == "replace":
        return plain
    if directive != "merge":
        raise BadRequest(f"invalid patch directive {directive!r}: use merge, replace or delete")
    result = dict(target) if isinstance(target, dict) else {}
    fields = fields_of(cls) if cls is not None else {}
    if RETAIN in patch:
        kept = set(patch[RETAIN])
        result = {key: value for key, value in result.items() if key in kept}
    for key, value in plain.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge_field(result.get(key), value, fields.get(key))
    for key, values in patch.items():
        if key.startswith(DELETE_FROM):
            name = key.removeprefix(DELETE_FROM)
            left = [item for item in result.get(name) or [] if item not in values]
            result[name] = left
        elif key.startswith(ORDER):
            _reorder(result, key.removeprefix(ORDER), values, target, fields)
    return result


def _merge_field(old: Any, value: Any, field: Field | None) -> Any:
    if isinstance(value, dict):
        inner = field.cls if field is not None and field.shape == "object" else None
        return strategic_merge(old, value, inner)
    if not isinstance(value, list) or field is None or field.shape != "list":
        return value
    if field.merge_key:
        return _merge_list(old or [], value, field)
    if "merge" in field.strategy:
        return [*(old or []), *(item for item in value if item not in (old or []))]
    return value


def _merge_list(old: Sequence[Any], patch: Sequence[Any], field: Field) -> list[Any]:
    key = field.merge_key
    if any(isinstance(item, dict) and item.get(PATCH) == "replace" for item in patch):
        return [
            {name: value for name, value in item.items() if name != PATCH}
            for item in patch
            if set(item) != {PATCH}
        ]
    result = list(old)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise BadRequest(
                f"map: {item!r} does not contain declared merge key: {key} (list {field.name})"
            )
        places = [i for i, each in enumerate(result) if _same(each, item, key)]
        if item.get(PATCH) == "delete":
            result = [each for each in result if not _same(each, item, key)]
        elif places:
            result[places[0]] = strategic_merge(result[places[0]], item, field.cls)
        else:
            result.append(strategic_merge({}, item, field.cls))
    return result


def _same(one: Any, other: dict[str, Any], key: str) -> bool:
    """Ports of one number with different protocols are different; absent means TCP."""
    if not isinstance(one, dict) or one.get(key) != other.get(key):
        return False
    if key not in ("containerPort", "port") or "protocol" not in other:
        return True
    return bool((one.get("protocol") or "TCP") == other["protocol"])


def _reorder(
    result: dict[str, Any], name: str, order: Any, target: Any, fields: dict[str, Field]
) -> None:
    """Put a list in the wished order; items that the patch does not know keep their places."""
    items = result.get(name)
    if not isinstance(items, list) or not isinstance(order, list):
        return
    field = fields.get(name)
    key = field.merge_key if field is not None else ""

    def identity(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, dict) else item

    wished = [identity(item) for item in order]
    before = [identity(item) for item in (target or {}).get(name) or []]
    known = sorted(
        (item for item in items if identity(item) in wished),
        key=lambda item: wished.index(identity(item)),
    )
    others = [item for item in items if identity(item) not in wished]
    merged = []
    while known and others:
        first, other = identity(known[0]), identity(others[0])
        comes_later = first in before and before.index(first) > before.index(other)
        merged.append((others if comes_later else known).pop(0))
    result[name] = [*merged, *known, *others]
