"""What is taken for an object, and what is refused with the place where it stands."""

from __future__ import annotations

import json

import pytest

from engine.client.apply import ManifestError, read_manifests

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"


def test_documents_and_lists_are_taken_apart() -> None:
    text = f"---\n{POD}---\n# nothing\n---\napiVersion: v1\nkind: List\nitems:\n- " + POD.replace(
        "\n", "\n  "
    )
    assert [each.name for each in read_manifests(text, "f")] == ["a", "a"]


def test_json_may_escape_any_character() -> None:
    whole = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    text = json.dumps({**whole, "data": {"k": "\U0001f600"}})
    assert "\\ud83d\\ude00" in text
    (manifest,) = read_manifests(text, "f")
    assert manifest.body["data"] == {"k": "\U0001f600"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: Pod", "f, document 1: apiVersion is missing"),
        (POD + "---\n- 1", "f, document 2: an object is a mapping, this is list"),
        ("apiVersion: v1\nkind: Gadget", 'no matches for kind "Gadget" in version "v1"'),
        ("apiVersion: v1\nkind: Pod", "metadata.name is missing"),
        ("a: [", "f: while parsing"),
        (
            '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":{"k":"\\ud83d"}}}',
            "is no text: surrogates not allowed",
        ),
    ],
)
def test_what_is_no_object_is_refused(text: str, said: str) -> None:
    with pytest.raises(ManifestError) as refusal:
        read_manifests(text, "f")
    assert said in str(refusal.value)
