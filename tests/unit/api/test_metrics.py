"""What `kubectl top` reads, from ticks that a node has kept."""

from __future__ import annotations

from typing import Any

import pytest

from engine.types.stats import ContainerSample, NodeSample, Tick
from tests.unit.api.world import World, pod

NODES = "/apis/metrics.k8s.io/v1beta1/nodes"
PODS = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods"


class Kept:
    """A gateway that only remembers."""

    def __init__(self, *ticks: Tick) -> None:
        self.ticks = ticks

    def recent(self, count: int) -> list[Tick]:
        return list(self.ticks[-count:])


def tick(t: float, cpu: float) -> Tick:
    used = ContainerSample(node="n1", cpu=cpu, memory=64 << 20)
    return Tick(
        t=t,
        nodes={"n1": NodeSample(cpu=2 * cpu, memory=128 << 20)},
        containers={"default/a/c": used, "default/gone/c": used},
    )


@pytest.fixture
async def measured(world: World) -> World:
    world.api.gateway = Kept(tick(1_800_000_000.2, 0.25), tick(1_800_000_001.2, 0.75))  # type: ignore[assignment]
    await world.ask("POST", "/api/v1/nodes", {"metadata": {"name": "n1", "labels": {"zone": "a"}}})
    for name in ("a", "b"):
        await world.ask("POST", "/api/v1/namespaces/default/pods", pod(name))
    return world


def one(listed: Any) -> Any:
    (item,) = listed["items"]
    return item


async def test_nodes(measured: World) -> None:
    found = one(await measured.ask("GET", NODES))
    assert found["usage"] == {"cpu": "1000000000n", "memory": "131072Ki"}
    assert (found["timestamp"], found["window"]) == ("2027-01-15T08:00:01Z", "2s")
    assert found["metadata"]["labels"] == {"zone": "a"}
    assert (await measured.ask("GET", f"{NODES}/n1"))["kind"] == "NodeMetrics"


async def test_pods_that_were_seen_and_still_exist(measured: World) -> None:
    for path in (PODS, "/apis/metrics.k8s.io/v1beta1/pods"):
        listed = await measured.ask("GET", path)
        assert listed["kind"] == "PodMetricsList"
        assert one(listed)["metadata"]["name"] == "a"
        usage = {"cpu": "500000000n", "memory": "65536Ki"}
        assert one(listed)["containers"] == [{"name": "c", "usage": usage}]
    assert one(await measured.ask("GET", PODS, labelSelector="app=a"))
    assert (await measured.ask("GET", PODS, labelSelector="app=b"))["items"] == []


async def test_what_was_not_measured_is_not_found(measured: World) -> None:
    for path in (f"{PODS}/b", f"{NODES}/n2", "/apis/metrics.k8s.io/v1beta1/gadgets"):
        assert (await measured.refused("GET", path))["reason"] == "NotFound"
    assert (await measured.refused("DELETE", f"{PODS}/a"))["reason"] == "MethodNotAllowed"


async def test_nothing_is_known_at_first(world: World) -> None:
    assert (await world.refused("GET", NODES))["reason"] == "ServiceUnavailable"
    world.api.gateway = Kept()  # type: ignore[assignment]
    assert (await world.ask("GET", NODES))["items"] == []
    assert (await world.ask("GET", PODS))["items"] == []
