"""JSON merge patch (RFC 7386) and JSON patch (RFC 6902), over plain data.

Patches make new data and leave what they are given as it is.
"""

from __future__ import annotations

from typing import Any

from engine.types.status import BadRequest, Cause, StatusError

MISSING: Any = object()


def merge_patch(target: Any, patch: Any) -> Any:
    """Objects merge, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def json_patch(target: Any, operations: Any) -> Any:
    """Apply every operation, or raise: BadRequest for what cannot be read, 422 for what fails."""
    if not isinstance(operations, list):
        raise BadRequest("a JSON patch must be a list of operations")
    for index, operation in enumerate(operations):
        if not isinstance(operation, dict):
            raise BadRequest(f"operation {index} of the JSON patch is not an object")
        target = _apply(target, operation, index)
    return target


def _apply(target: Any, operation: dict[str, Any], index: int) -> Any:
    name, path = operation.get("op"), operation.get("path")
    if not isinstance(path, str):
        raise BadRequest(f"operation {index} of the JSON patch has no path")
    place = _pointer(path)
    match name:
        case "add" | "replace" | "test":
            if "value" not in operation:
                raise BadRequest(f"operation {index} of the JSON patch has no value")
            value = operation["value"]
            if name == "test":
                if _find(target, place, path) != value:
                    raise _failed(f"testing path {path} failed: the value differs")
                return target
            if name == "replace":
                _find(target, place, path)
            return _put(target, place, path, value, replace=name == "replace")
        case "remove":
            return _remove(target, place, path)
        case "move" | "copy":
            source = operation.get("from")
            if not isinstance(source, str):
                raise BadRequest(f"operation {index} of the JSON patch has no from")
            value = _find(target, _pointer(source), source)
            if name == "move":
                target = _remove(target, _pointer(source), source)
            return _put(target, place, path, value, replace=False)
    raise BadRequest(f"operation {index} of the JSON patch is unknown: {name!r}")


def _pointer(text: str) -> list[str]:
    """The parts of a JSON pointer (RFC 6901)."""
    if not text:
        return []
    if not text.startswith("/"):
        raise BadRequest(f"the JSON patch's path {text!r} does not begin with '/'")
    return [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]


def _failed(detail: str) -> StatusError:
    return StatusError(
        f"the server rejected our request due to an error in our request: {detail}",
        code=422,
        reason="Invalid",
        causes=[Cause("", detail)],
    )


def _child(target: Any, part: str, path: str) -> Any:
    if isinstance(target, dict):
        found = target.get(part, MISSING)
    elif isinstance(target, list):
        found = target[_index(target, part, path, end=False)]
    else:
        found = MISSING
    if found is MISSING:
        raise _failed(f"the path {path} does not exist")
    return found


def _index(target: list[Any], part: str, path: str, *, end: bool) -> int:
    """A list index; with `end` also "-" and the length, the place after the last."""
    if end and part == "-":
        return len(target)
    limit = len(target) + end
    if not (part.isascii() and part.isdigit()) or int(part) >= limit:
        raise _failed(f"the path {path} does not exist: no index {part!r}")
    return int(part)


def _find(target: Any, place: list[str], path: str) -> Any:
    for part in place:
        target = _child(target, part, path)
    return target


def _put(target: Any, place: list[str], path: str, value: Any, *, replace: bool) -> Any:
    if not place:
        return value
    part, *rest = place
    if rest:
        value = _put(_child(target, part, path), rest, path, value, replace=replace)
        replace = True
    if isinstance(target, dict):
        return {**target, part: value}
    if isinstance(target, list):
        index = _index(target, part, path, end=not replace)
        return [*target[:index], value, *target[index + replace :]]
    raise _failed(f"the path {path} does not exist")


def _remove(target: Any, place: list[str], path: str) -> Any:
    if not place:
        raise _failed("the whole document cannot be removed")
    part, *rest = place
    child = _child(target, part, path)
    if rest:
        return _put(target, [part], path, _remove(child, rest, path), replace=True)
    if isinstance(target, dict):
        return {key: value for key, value in target.items() if key != part}
    index = _index(target, part, path, end=False)
    return [*target[:index], *target[index + 1 :]]
