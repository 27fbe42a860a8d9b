"""Field selectors over plain data."""

from __future__ import annotations

import pytest

from engine.types import fields
from engine.types.fields import InvalidFieldSelector

POD = {
    "metadata": {"name": "a,b=c", "labels": {"x": "y"}},
    "spec": {"nodeName": "n1", "hostNetwork": True, "priority": 3},
    "status": {"phase": "Running"},
}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("spec.nodeName=n1", True),
        ("spec.nodeName==n1,status.phase!=Failed", True),
        ("spec.nodeName=n1,status.phase!=Running", False),
        ("spec.nodeName!=", True),
        ("spec.absent=", True),
        ("spec.nodeName.deeper=", True),
        ("spec.hostNetwork=true", True),
        ("spec.priority=3", True),
        (r"metadata.name=a\,b\=c", True),
    ],
)
def test_matches(text: str, selected: bool) -> None:
    assert fields.parse(text).matches(POD) is selected


def test_text_is_read_back() -> None:
    text = r"metadata.name=a\,b\=c,status.phase!=Failed"
    assert str(fields.parse(text)) == text


def test_required_value() -> None:
    parsed = fields.parse("spec.nodeName=n1,status.phase!=Failed")
    assert parsed.required("spec.nodeName") == "n1"
    assert parsed.required("status.phase") is None


@pytest.mark.parametrize("text", ["spec.nodeName", "a=b=c", r"a=b\x", "a\\=b"])
def test_what_is_no_selector(text: str) -> None:
    with pytest.raises(InvalidFieldSelector):
        fields.parse(text)
