"""Replica sets on a real store and API: which pods are theirs, and when they count."""

from engine.types.apps import ReplicaSet, ReplicaSetSpec
from engine.types.containers import Container
from engine.types.meta import LabelSelector, ObjectMeta, controller_of
from engine.types.pods import Pod, PodSpec, PodTemplateSpec
from engine.types.status import Forbidden

KEY = "default/rs"


def replica_set(replicas: int = 2, **fields) -> ReplicaSet:
    return ReplicaSet(
        metadata=ObjectMeta(name="rs", namespace="default"),
        spec=ReplicaSetSpec(
            replicas=replicas,
            selector=LabelSelector(match_labels={"app": "rs"}),
            template=PodTemplateSpec(
                metadata=ObjectMeta(labels={"app": "rs"}),
                spec=PodSpec(containers=[Container(name="c", image="i:1")]),
            ),
            **fields,
        ),
    )


def bare(name: str, app: str = "rs") -> Pod:
    return Pod(
        metadata=ObjectMeta(name=name, namespace="default", labels={"app": app}),
        spec=PodSpec(containers=[Container(name="c", image="i:1")]),
    )


def status(world):
    found = world.get(ReplicaSet, KEY)
    return found.status if found else ReplicaSet().status


async def test_matching_pods_are_adopted_and_count(world) -> None:
    await world.node("node-1")
    await world.create(bare("early"))
    await world.create(bare("stranger", "other"))
    await world.create(replica_set())
    await world.until(lambda: status(world).ready_replicas == 2)
    names = {p.metadata.name for p in world.pods(app="rs")}
    assert len(names) == 2
    assert "early" in names
    assert controller_of(world.get(Pod, "default/early").metadata).name == "rs"
    assert controller_of(world.get(Pod, "default/stranger").metadata) is None
    await world.create(bare("late"))
    await world.until(lambda: len(world.pods(app="rs")) == 2)


async def test_a_pod_that_no_longer_matches_is_let_go_and_replaced(world) -> None:
    await world.node("node-1")
    await world.create(replica_set())
    await world.until(lambda: status(world).ready_replicas == 2)
    free = world.pods()[0].metadata.name
    await world.client.patch(Pod, free, "default", {"metadata": {"labels": {"app": "free"}}})
    await world.until(lambda: len(world.pods()) == 3)
    await world.until(lambda: controller_of(world.get(Pod, f"default/{free}").metadata) is None)
    await world.until(lambda: status(world).ready_replicas == 2)


async def test_pods_are_available_after_their_time(world) -> None:
    await world.node("node-1")
    await world.create(replica_set(min_ready_seconds=100))
    await world.until(lambda: status(world).ready_replicas == 2)
    assert status(world).available_replicas == 0
    world.advance(102)
    await world.until(lambda: status(world).available_replicas == 2)


async def test_an_ended_pod_is_replaced(world) -> None:
    await world.node("node-1")
    await world.create(replica_set(1))
    await world.until(lambda: status(world).ready_replicas == 1)
    [first] = world.pods()
    patch = {"status": {"phase": "Failed", "reason": "Evicted"}}
    await world.client.patch(Pod, first.metadata.name, "default", patch, subresource="status")
    await world.until(lambda: len(world.pods()) == 2 and status(world).ready_replicas == 1)


async def test_refused_pods_are_reported_and_tried_again(world, monkeypatch) -> None:
    allow = world.client.create
    refusing = True

    async def create(obj):
        if refusing and isinstance(obj, Pod):
            raise Forbidden("pods", "", "exceeded quota")
        return await allow(obj)

    monkeypatch.setattr(world.client, "create", create)
    await world.create(replica_set())
    text = "pods is forbidden: exceeded quota"
    await world.until(lambda: [c.message for c in status(world).conditions] == [text])
    await world.until(lambda: world.events("FailedCreate") == [f"Error creating: {text}"])
    refusing = False
    await world.until(lambda: len(world.pods()) == 2 and not status(world).conditions)
