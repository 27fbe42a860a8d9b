"""The scheduler on a real store and API: what it says to pods that fit nowhere, when it wakes."""

from engine.types.containers import Container, ResourceRequirements
from engine.types.meta import ObjectMeta
from engine.types.nodes import Node, Taint
from engine.types.pods import Pod, PodSchedulingGate, PodSpec


def pod(name: str, memory: str = "1Gi", **fields) -> Pod:
    resources = ResourceRequirements(requests={"memory": memory})
    container = Container(name="c", image="i:1", resources=resources)
    return Pod(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=PodSpec(containers=[container], **fields),
    )


def scheduled(world, name: str):
    found = world.get(Pod, f"default/{name}")
    return found and next((c for c in found.status.conditions if c.type == "PodScheduled"), None)


async def test_a_pod_that_fits_nowhere_is_told_why(world) -> None:
    await world.node("small-1", memory="1Gi")
    await world.node("small-2", memory="1Gi")
    await world.node("guarded", taints=[Taint(key="k", value="v", effect="NoSchedule")])
    await world.until(lambda: len(world.all(Node)) == 3 and world.scheduler.columns.count == 3)
    await world.until(lambda: all(n.status.allocatable for n in world.all(Node)))
    await world.create(pod("big", "2Gi"))
    await world.until(lambda: scheduled(world, "big"))
    condition = scheduled(world, "big")
    text = "0/3 nodes are available: 1 node(s) had untolerated taint {k: v}, 2 Insufficient memory."
    assert (condition.status, condition.reason) == ("False", "Unschedulable")
    assert condition.message == text
    await world.until(lambda: world.events("FailedScheduling") == [text])
    uid = world.get(Pod, "default/big").metadata.uid
    decision = world.scheduler.decisions.get(uid)
    assert {v.node: v.rejected_by for v in decision.verdicts()} == {
        "small-1": "NodeResourcesFit",
        "small-2": "NodeResourcesFit",
        "guarded": "TaintToleration",
    }


async def test_an_event_that_helps_brings_a_pod_back(world) -> None:
    await world.node("only", memory="3Gi")
    await world.create(pod("first", "2Gi"))
    await world.until(lambda: world.get(Pod, "default/first").spec.node_name)
    await world.create(pod("second", "2Gi"))
    await world.until(lambda: scheduled(world, "second"))
    world.offset += 2
    await world.client.delete(Pod, "first", "default")
    await world.until(lambda: world.get(Pod, "default/second").spec.node_name == "only")
    await world.until(lambda: len(world.events("Scheduled")) == 2)
    assert "Successfully assigned default/second to only" in world.events("Scheduled")


async def test_pods_wait_for_the_first_node(world) -> None:
    await world.create(pod("early"))
    await world.until(lambda: scheduled(world, "early"))
    assert scheduled(world, "early").message == "no nodes available to schedule pods"
    world.offset += 2
    await world.node("late")
    await world.until(lambda: world.get(Pod, "default/early").spec.node_name == "late")


async def test_gated_and_foreign_pods_are_left_alone(world) -> None:
    await world.node("node-1")
    await world.create(pod("foreign", scheduler_name="another"))
    await world.create(pod("gated", scheduling_gates=[PodSchedulingGate(name="g")]))
    await world.create(pod("plain"))
    await world.until(lambda: world.get(Pod, "default/plain").spec.node_name)
    assert not world.get(Pod, "default/foreign").spec.node_name
    assert not world.get(Pod, "default/gated").spec.node_name


async def test_nothing_is_given_away_twice(world) -> None:
    await world.node("node-1", memory="4Gi")
    await world.node("node-2", memory="4Gi")
    for number in range(12):
        await world.create(pod(f"p{number}"))
    await world.until(
        lambda: (
            len([p for p in world.pods() if p.spec.node_name]) == 8
            and len(
                [p for p in world.pods() if (c := scheduled(world, p.metadata.name)) and c.message]
            )
            == 4
        )
    )
    for node in ("node-1", "node-2"):
        assert len([p for p in world.pods() if p.spec.node_name == node]) == 4
