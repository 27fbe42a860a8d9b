"""Expansion, order, references and the downward API."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.kubelet.downward import ConfigError, NodeFacts, field, resource
from engine.kubelet.environment import References, environment, expand, needs
from engine.types import codec
from engine.types.containers import Container
from engine.types.pods import Pod
from engine.types.volumes import ResourceFieldSelector

NODE = NodeFacts("n1", "10.0.0.1", 4.0, 8 << 30, 100 << 30)


def pod(**container: object) -> Pod:
    return codec.from_dict(
        Pod,
        {
            "metadata": {
                "name": "web",
                "namespace": "shop",
                "uid": "u1",
                "labels": {"b": 'say "hi"', "a": "1"},
            },
            "spec": {"containers": [{"name": "main", **container}], "serviceAccountName": "sa"},
        },
    )


def variables(known: References | None = None, **container: object) -> dict[str, str]:
    made = pod(**container)
    references = known or References("shop")
    return environment(made, made.spec.containers[0], references, pod_ip="10.0.1.2", node=NODE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)", "1"),
        ("x$(A)y$(B)", "x1y2"),
        ("$(NONE)", "$(NONE)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A", "$A"),
        ("$(A", "$(A"),
        ("$", "$"),
        ("$(A)$", "1$"),
        ("", ""),
    ],
)
def test_expansion(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expected


@given(st.text(alphabet=st.characters(exclude_characters="$")))
def test_text_without_dollars_is_itself(text: str) -> None:
    assert expand(text, {"A": "1"}) == text


def test_later_variables_see_earlier_ones_only() -> None:
    env = [
        {"name": "A", "value": "$(B)"},
        {"name": "B", "value": "2"},
        {"name": "C", "value": "$(B)$(A)"},
    ]
    assert variables(env=env) == {"A": "$(B)", "B": "2", "C": "2$(B)"}


def test_env_wins_over_env_from_and_the_prefix_is_put() -> None:
    known = References("shop", {"conf": {"X": b"1", "Y": b"2"}})
    assert variables(
        known,
        envFrom=[{"prefix": "P_", "configMapRef": {"name": "conf"}}],
        env=[{"name": "P_X", "value": "own $(P_Y)"}],
    ) == {"P_X": "own 2", "P_Y": "2"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMapKeyRef": {"name": "no", "key": "k"}}, 'configmap "no" not found'),
        ({"secretKeyRef": {"name": "no", "key": "k"}}, 'secret "no" not found'),
        (
            {"configMapKeyRef": {"name": "conf", "key": "k"}},
            "couldn't find key k in ConfigMap shop/conf",
        ),
        ({"fieldRef": {"fieldPath": "spec.nothing"}}, "unsupported fieldPath: spec.nothing"),
    ],
)
def test_what_is_missing_is_named(source: dict[str, object], message: str) -> None:
    known = References("shop", {"conf": {}})
    with pytest.raises(ConfigError, match=message):
        variables(known, env=[{"name": "A", "valueFrom": source}])


def test_optional_things_may_be_missing() -> None:
    known = References("shop", {"conf": {}})
    sources = [
        {"configMapKeyRef": {"name": "conf", "key": "k", "optional": True}},
        {"secretKeyRef": {"name": "no", "key": "k", "optional": True}},
    ]
    env = [{"name": f"A{i}", "valueFrom": source} for i, source in enumerate(sources)]
    assert variables(known, env=env, envFrom=[{"secretRef": {"name": "x", "optional": True}}]) == {}


def test_what_a_pod_needs() -> None:
    asked = pod(
        envFrom=[{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}}],
        env=[
            {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
            {"name": "D", "valueFrom": {"secretKeyRef": {"name": "d", "key": "k"}}},
        ],
    )
    assert needs(asked) == ({"a", "c"}, {"b", "d"})


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("metadata.name", "web"),
        ("metadata.namespace", "shop"),
        ("metadata.labels['a']", "1"),
        ("metadata.labels['none']", ""),
        ("metadata.labels", 'a="1"\nb="say \\"hi\\""'),
        ("spec.nodeName", "n1"),
        ("spec.serviceAccountName", "sa"),
        ("status.podIP", "10.0.1.2"),
        ("status.hostIP", "10.0.0.1"),
    ],
)
def test_fields(path: str, text: str) -> None:
    assert field(pod(), path, pod_ip="10.0.1.2", node=NODE) == text


@pytest.mark.parametrize(
    ("asked", "divisor", "text"),
    [
        ("limits.cpu", "", "2"),
        ("limits.cpu", "1m", "1500"),
        ("requests.memory", "", "104857600"),
        ("requests.memory", "1Mi", "100"),
        ("requests.memory", "64Mi", "2"),
        ("limits.memory", "1Gi", "8"),
        ("requests.cpu", "", "0"),
    ],
)
def test_resources_are_rounded_up_in_their_unit(asked: str, divisor: str, text: str) -> None:
    container = codec.from_dict(
        Container,
        {"name": "c", "resources": {"limits": {"cpu": "1500m"}, "requests": {"memory": "100Mi"}}},
    )
    selector = ResourceFieldSelector(resource=asked, divisor=divisor)
    assert resource(pod(), container, selector, NODE) == text
