"""Strategic merge patch: lists joined by their keys, and its directives."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.strategic import strategic_merge
from engine.types.apps import Deployment
from engine.types.core import ConfigMap, Node, Pod, Service
from engine.types.status import BadRequest


def spec(**fields: object) -> dict[str, object]:
    return {"spec": fields}


A, B = {"name": "a", "image": "1"}, {"name": "b", "image": "2"}


@pytest.mark.parametrize(
    ("cls", "target", "patch", "expected"),
    [
        # joined by name: one changed, one new, the rest untouched
        (
            Pod,
            spec(containers=[A, B]),
            spec(containers=[{"name": "b", "image": "3"}, {"name": "c"}]),
            spec(containers=[A, {"name": "b", "image": "3"}, {"name": "c"}]),
        ),
        (
            Pod,
            spec(containers=[A, B]),
            spec(containers=[{"$patch": "delete", "name": "a"}]),
            spec(containers=[B]),
        ),
        (
            Pod,
            spec(containers=[A, B]),
            spec(containers=[{"$patch": "replace"}, {"name": "z"}]),
            spec(containers=[{"name": "z"}]),
        ),
        # nested lists have keys of their own
        (
            Pod,
            spec(containers=[{"name": "a", "env": [{"name": "X", "value": "1"}]}]),
            spec(containers=[{"name": "a", "env": [{"name": "Y", "value": "2"}]}]),
            spec(
                containers=[
                    {
                        "name": "a",
                        "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}],
                    }
                ]
            ),
        ),
        # a port is its number and protocol
        (
            Pod,
            spec(containers=[{"name": "a", "ports": [{"containerPort": 53, "protocol": "TCP"}]}]),
            spec(containers=[{"name": "a", "ports": [{"containerPort": 53, "protocol": "UDP"}]}]),
            spec(
                containers=[
                    {
                        "name": "a",
                        "ports": [
                            {"containerPort": 53, "protocol": "TCP"},
                            {"containerPort": 53, "protocol": "UDP"},
                        ],
                    }
                ]
            ),
        ),
        # lists without a key are replaced
        (
            Pod,
            spec(containers=[{"name": "a", "command": ["x", "y"]}]),
            spec(containers=[{"name": "a", "command": ["z"]}]),
            spec(containers=[{"name": "a", "command": ["z"]}]),
        ),
        (
            Node,
            spec(taints=[{"key": "a", "effect": "NoSchedule"}]),
            spec(taints=[{"key": "b", "effect": "NoSchedule"}]),
            spec(taints=[{"key": "b", "effect": "NoSchedule"}]),
        ),
        # lists of values with the strategy merge are joined as sets
        (
            Pod,
            {"metadata": {"finalizers": ["a", "b"]}},
            {"metadata": {"finalizers": ["b", "c"]}},
            {"metadata": {"finalizers": ["a", "b", "c"]}},
        ),
        (
            Pod,
            {"metadata": {"finalizers": ["a", "b"]}},
            {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}},
            {"metadata": {"finalizers": ["b"]}},
        ),
        # free maps merge key by key; null removes
        (
            ConfigMap,
            {"data": {"a": "1", "b": "2"}},
            {"data": {"a": None, "c": "3"}},
            {"data": {"b": "2", "c": "3"}},
        ),
        (
            ConfigMap,
            {"data": {"a": "1"}},
            {"data": {"$patch": "replace", "b": "2"}},
            {"data": {"b": "2"}},
        ),
        (ConfigMap, {"data": {"a": "1"}}, {"data": {"$patch": "delete"}}, {"data": {}}),
        # a volume keeps only the source the patch names
        (
            Pod,
            spec(volumes=[{"name": "v", "emptyDir": {}}]),
            spec(
                volumes=[
                    {"name": "v", "hostPath": {"path": "/x"}, "$retainKeys": ["name", "hostPath"]}
                ]
            ),
            spec(volumes=[{"name": "v", "hostPath": {"path": "/x"}}]),
        ),
        (
            Deployment,
            spec(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}),
            spec(strategy={"type": "Recreate", "$retainKeys": ["type"]}),
            spec(strategy={"type": "Recreate"}),
        ),
        # order as wished; what the patch does not know keeps its place
        (
            Pod,
            spec(containers=[A, B]),
            spec(
                containers=[{"name": "c"}],
                **{"$setElementOrder/containers": [{"name": "c"}, {"name": "b"}]},
            ),
            spec(containers=[{"name": "c"}, A, B]),
        ),
        (
            Pod,
            {"metadata": {"finalizers": ["a", "b"]}},
            {"metadata": {"$setElementOrder/finalizers": ["b", "a"]}},
            {"metadata": {"finalizers": ["b", "a"]}},
        ),
        (
            Service,
            spec(ports=[{"port": 1}, {"port": 2}]),
            spec(ports=[{"port": 2, "name": "x"}]),
            spec(ports=[{"port": 1}, {"port": 2, "name": "x"}]),
        ),
    ],
)
def test_merge(cls: type, target: dict, patch: dict, expected: dict) -> None:
    before = copy.deepcopy((target, patch))
    assert strategic_merge(target, patch, cls) == expected
    assert (target, patch) == before


@pytest.mark.parametrize(
    "patch",
    [spec(containers=[{"image": "x"}]), spec(containers=["x"]), {"$patch": "frob"}],
)
def test_what_makes_no_sense(patch: dict) -> None:
    with pytest.raises(BadRequest):
        strategic_merge(spec(containers=[A]), patch, Pod)


names = st.lists(st.sampled_from("abcdef"), unique=True)


@given(names, names)
def test_joining_keeps_every_key_once_and_wins(old: list[str], new: list[str]) -> None:
    target = spec(containers=[{"name": name, "image": "old"} for name in old])
    patch = spec(containers=[{"name": name, "image": "new"} for name in new])
    if new:
        patch["spec"]["$setElementOrder/containers"] = [{"name": name} for name in new]
    merged = strategic_merge(target, patch, Pod)["spec"]["containers"]
    images = {each["name"]: each["image"] for each in merged}
    assert len(images) == len(merged)
    assert images == dict.fromkeys(old, "old") | dict.fromkeys(new, "new")
    assert [each["name"] for each in merged if each["name"] in new] == new
    kept = [name for name in old if name not in new]
    assert [each["name"] for each in merged if each["name"] not in new] == kept
