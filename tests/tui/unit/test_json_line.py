"""Log lines that are JSON, for people."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.render.json_line import folded, opened, parsed
from tui.render.spans import plain

LEAVES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()
OBJECTS = st.dictionaries(
    st.text(),
    st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)),
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            {"ts": "12:00", "level": "warn", "msg": "slow", "ms": 1200, "user": {"id": 7}},
            '12:00 WARN  slow  ms=1200  user={"id":7}',
        ),
        ({"level": 50, "message": "x"}, "ERROR x"),
        ({"level": 35, "msg": "y"}, "35    y"),
        ({"a": 1}, "  a=1"),
        ({"msg": {"not": "a text"}}, '  msg={"not":"a text"}'),
        ({}, "{}"),
    ],
)
def test_folded(line: dict[str, Any], expected: str) -> None:
    found = parsed(json.dumps(line))
    assert found == line
    assert plain([folded(found)]) == expected.rstrip()


def test_opened() -> None:
    found = parsed('{"msg": "hi", "user": {"id": 7, "tags": ["a", "b"]}, "none": {}}')
    assert found is not None
    assert plain(opened(found)).splitlines() == [
        "msg: hi",
        "user:",
        "  id: 7",
        "  tags:",
        "    [0]: a",
        "    [1]: b",
        "none: {}",
    ]


@pytest.mark.parametrize("text", ["", "hello", "{", "[1]", '{"a": }', "{" * 9000, "nul", "\ud800{"])
def test_what_is_no_object(text: str) -> None:
    assert parsed(text) is None


@given(OBJECTS)
def test_nothing_in_it_reaches_the_terminal(found: dict[str, Any]) -> None:
    for row in (folded(found), *opened(found)):
        for text, _ in row:
            assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in text)
