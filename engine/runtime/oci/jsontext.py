"""JSON by the part of Python's own that is written in C.

The rest of it is regular expressions, whose import takes longer than most commands. What that part
does not take is given to the whole, which says what is wrong.
"""

from __future__ import annotations

from _json import encode_basestring_ascii, make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Plainly:
    """How to scan: what json.JSONDecoder does when nothing is asked of it."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_int, parse_float, parse_constant = int, float, float


_scan = make_scanner(_Plainly)  # type: ignore[arg-type]
_SPACE = " \t\n\r"


def parse(data: bytes) -> Any:
    """Raise ValueError saying where it is not JSON."""
    try:
        text = data.decode()
        start = len(text) - len(text.lstrip(_SPACE))
        found, end = _scan(text, start)
        if not text[end:].strip(_SPACE):
            return found
    except (StopIteration, ValueError):
        pass
    import json

    return json.loads(data)


def compose(value: object, indent: str = "") -> str:
    """`value` on one line, or with `indent` for each level."""
    return _compose(value, indent, "\n" if indent else "")


def _compose(value: object, indent: str, line: str) -> str:
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    if value is None or isinstance(value, bool):
        return "null" if value is None else "true" if value else "false"
    below = line + indent
    if isinstance(value, dict):
        parts = [
            f"{encode_basestring_ascii(key)}: {_compose(each, indent, below)}"
            for key, each in value.items()
        ]
        return _joined("{", parts, "}", below, line)
    if isinstance(value, (list, tuple)):
        return _joined("[", [_compose(each, indent, below) for each in value], "]", below, line)
    return repr(value)


def _joined(begin: str, parts: list[str], end: str, below: str, line: str) -> str:
    if not parts:
        return begin + end
    between = "," + below if below else ", "
    return begin + below + between.join(parts) + line + end
