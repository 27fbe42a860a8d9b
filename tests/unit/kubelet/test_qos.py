"""Requests and limits as cgroup settings: the kubelet's formulas."""

import pytest

from engine.kubelet import qos
from engine.types import codec
from engine.types.containers import Container
from engine.types.pods import Pod

Sizes = dict[str, str]


def container(name: str, requests: Sizes, limits: Sizes, **more: object) -> dict[str, object]:
    return {"name": name, "resources": {"requests": requests, "limits": limits}, **more}


def pod(*containers: dict[str, object], init: tuple[dict[str, object], ...] = ()) -> Pod:
    return codec.from_dict(
        Pod, {"spec": {"containers": list(containers), "initContainers": list(init)}}
    )


FULL = {"cpu": "500m", "memory": "64Mi"}


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        ([container("a", {}, {})], "BestEffort"),
        ([container("a", {}, FULL)], "Guaranteed"),
        ([container("a", FULL, FULL)], "Guaranteed"),
        ([container("a", {"cpu": "0.5", "memory": "65536Ki"}, FULL)], "Guaranteed"),
        ([container("a", {"cpu": "1m"}, {})], "Burstable"),
        ([container("a", FULL, FULL), container("b", {}, {})], "Burstable"),
        ([container("a", {"cpu": "100m"}, FULL)], "Burstable"),
        ([container("a", {"ephemeral-storage": "1Gi"}, {})], "BestEffort"),
    ],
)
def test_class(containers: list[dict[str, object]], expected: str) -> None:
    assert qos.qos_class(pod(*containers)) == expected


@pytest.mark.parametrize(("milli", "shares"), [(0, 2), (1, 2), (250, 256), (1000, 1024)])
def test_shares(milli: int, shares: int) -> None:
    assert qos.cpu_shares(milli) == shares


@pytest.mark.parametrize(
    ("milli", "quota"), [(0, None), (1, 1000), (10, 1000), (250, 25_000), (2000, 200_000)]
)
def test_quota(milli: int, quota: int | None) -> None:
    assert qos.cpu_quota_us(milli) == quota


@pytest.mark.parametrize(
    ("requests", "limits", "score"),
    [
        ({}, FULL, -997),
        ({}, {}, 1000),
        ({"memory": "512Mi"}, {}, 500),
        ({"cpu": "1"}, {}, 999),
        ({"memory": "4Gi"}, {}, 3),
    ],
)
def test_who_dies_first(requests: Sizes, limits: Sizes, score: int) -> None:
    made = pod(container("a", requests, limits))
    assert qos.oom_score_adj(made, made.spec.containers[0], 1 << 30) == score


def test_a_container() -> None:
    made = codec.from_dict(Container, container("a", {"cpu": "100m"}, FULL))
    found = qos.container_resources(made, 4000)
    assert (found.cpu_shares, found.cpu_quota_us, found.memory_limit) == (102, 50_000, 64 << 20)


def test_no_quota_is_larger_than_the_node() -> None:
    made = codec.from_dict(Container, container("a", {}, {"cpu": "8"}))
    assert qos.container_resources(made, 2000).cpu_quota_us == 200_000


def test_a_pod_has_a_limit_only_where_every_container_has_one() -> None:
    half = container("b", {}, {"memory": "64Mi"})
    found = qos.pod_resources(pod(container("a", {}, FULL), half), 4000)
    assert (found.cpu_quota_us, found.memory_limit) == (None, 128 << 20)


def test_init_containers_count_one_by_one_and_sidecars_always() -> None:
    big = container("init", {}, {"cpu": "2", "memory": "512Mi"})
    side = container("side", {}, FULL, restartPolicy="Always")
    found = qos.pod_resources(pod(container("a", {}, FULL), init=(side, big)), 4000)
    assert (found.cpu_quota_us, found.memory_limit) == (250_000, 576 << 20)
