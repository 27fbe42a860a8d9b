"""Merge patch by the examples of RFC 7386, JSON patch by those of RFC 6902."""

import copy

import pytest

from engine.api.patch import json_patch, merge_patch
from engine.types.status import StatusError
from tests.unit.api.world import DEPLOYMENT, World, deployment


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge(target: object, patch: object, expected: object) -> None:
    before = copy.deepcopy(target)
    assert merge_patch(target, patch) == expected
    assert target == before


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        ({"a": 1}, [{"op": "add", "path": "/b", "value": 2}], {"a": 1, "b": 2}),
        ([1, 3], [{"op": "add", "path": "/1", "value": 2}], [1, 2, 3]),
        ([1], [{"op": "add", "path": "/-", "value": 2}], [1, 2]),
        ({"a": 1, "b": 2}, [{"op": "remove", "path": "/b"}], {"a": 1}),
        ([1, 2, 3], [{"op": "remove", "path": "/1"}], [1, 3]),
        ({"a": 1}, [{"op": "replace", "path": "/a", "value": 2}], {"a": 2}),
        ([1, 2], [{"op": "replace", "path": "/0", "value": 9}], [9, 2]),
        ({"a": {"b": 1}}, [{"op": "move", "from": "/a/b", "path": "/c"}], {"a": {}, "c": 1}),
        ([1, 2, 3], [{"op": "move", "from": "/0", "path": "/2"}], [2, 3, 1]),
        ({"a": [1]}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": [1], "b": [1]}),
        ({"a": 1}, [{"op": "test", "path": "/a", "value": 1}], {"a": 1}),
        ({"a/b": 1, "c~d": 2}, [{"op": "remove", "path": "/a~1b"}], {"c~d": 2}),
        ({"a/b": 1, "c~d": 2}, [{"op": "remove", "path": "/c~0d"}], {"a/b": 1}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
        ({"a": None}, [{"op": "replace", "path": "/a", "value": 1}], {"a": 1}),
    ],
)
def test_json(target: object, patch: object, expected: object) -> None:
    before = copy.deepcopy(target)
    assert json_patch(target, patch) == expected
    assert target == before


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ({"op": "remove", "path": "/missing"}, 422),
        ({"op": "replace", "path": "/missing", "value": 1}, 422),
        ({"op": "add", "path": "/missing/x", "value": 1}, 422),
        ({"op": "add", "path": "/list/3", "value": 1}, 422),
        ({"op": "add", "path": "/list/-1", "value": 1}, 422),
        ({"op": "remove", "path": "/list/-"}, 422),
        ({"op": "add", "path": "/a/x", "value": 1}, 422),
        ({"op": "test", "path": "/a", "value": 2}, 422),
        ({"op": "remove", "path": ""}, 422),
        ({"op": "frob", "path": "/a"}, 400),
        ({"op": "add", "path": "/a"}, 400),
        ({"op": "add", "path": "a", "value": 1}, 400),
        ({"op": "add", "value": 1}, 400),
        ({"op": "move", "path": "/a"}, 400),
        ("nonsense", 400),
    ],
)
def test_json_refused(operation: object, code: int) -> None:
    with pytest.raises(StatusError) as caught:
        json_patch({"a": 1, "list": [1]}, [operation])
    assert caught.value.code == code


async def test_patches_of_objects(world: World) -> None:
    made = await world.ask("POST", DEPLOYMENT, deployment(replicas=1))
    path = f"{DEPLOYMENT}/web"
    for kind, patch in (
        ("json", [{"op": "replace", "path": "/spec/replicas", "value": 2}]),
        ("merge", {"spec": {"replicas": 3}}),
        ("strategic-merge", {"spec": {"replicas": 4}}),
    ):
        kind = f"application/{kind}-patch+json"
        after = await world.ask("PATCH", path, patch, content_type=kind)
    assert after["spec"]["replicas"] == 4
    assert after["metadata"]["generation"] == 4
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}}
    assert (await world.refused("PATCH", path, stale, content_type=kind))["code"] == 409
    wrong = {"spec": {"replicas": "many"}}
    assert (await world.refused("PATCH", path, wrong, content_type=kind))["code"] == 400
    assert (await world.refused("PATCH", path, b"{", content_type=kind))["code"] == 400
    assert (await world.refused("PATCH", path, b"[]", content_type=kind))["code"] == 400


async def test_patch_of_the_status_only(world: World) -> None:
    await world.ask("POST", DEPLOYMENT, deployment(replicas=1))
    kind = "application/merge-patch+json"
    patch = {"spec": {"replicas": 5}, "status": {"replicas": 2}}
    after = await world.ask("PATCH", f"{DEPLOYMENT}/web/status", patch, content_type=kind)
    assert after["spec"]["replicas"] == 1
    assert after["status"] == {"replicas": 2}
