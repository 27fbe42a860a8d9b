"""Nodes that fall silent, come back, are cordoned or go, and what becomes of their pods."""

from engine.types.apps import ReplicaSet, ReplicaSetSpec
from engine.types.codec import to_dict
from engine.types.containers import Container
from engine.types.meta import LabelSelector, ObjectMeta
from engine.types.nodes import Node
from engine.types.pods import Pod, PodSpec, PodTemplateSpec, Toleration


def replica_set(replicas: int, tolerations: list[Toleration]) -> ReplicaSet:
    return ReplicaSet(
        metadata=ObjectMeta(name="rs", namespace="default"),
        spec=ReplicaSetSpec(
            replicas=replicas,
            selector=LabelSelector(match_labels={"app": "rs"}),
            template=PodTemplateSpec(
                metadata=ObjectMeta(labels={"app": "rs"}),
                spec=PodSpec(
                    containers=[Container(name="c", image="i:1")], tolerations=tolerations
                ),
            ),
        ),
    )


def taints(world, name: str) -> set[tuple[str, str]]:
    return {(t.key.rpartition("/")[2], t.effect) for t in world.get(Node, name).spec.taints}


def ready(world, name: str) -> str:
    return next(c.status for c in world.get(Node, name).status.conditions if c.type == "Ready")


async def two_nodes_with_pods(world, tolerations: list[Toleration]) -> None:
    for name in ("node-1", "node-2"):
        await world.node(name)
        await world.heartbeat(name)
    await world.create(replica_set(2, tolerations))
    await world.until(
        lambda: (
            {p.spec.node_name for p in world.pods() if p.status.phase == "Running"}
            == {"node-1", "node-2"}
        )
    )


async def fall_silent(world, name: str) -> None:
    world.silent.add(name)
    await world.pass_time(41, alive=("node-1",))
    await world.until(lambda: ready(world, name) == "Unknown")


async def test_a_silent_node_loses_its_pods_and_is_welcome_back(world) -> None:
    limit = Toleration(key="node.kubernetes.io/unreachable", operator="Exists")
    limit.effect, limit.toleration_seconds = "NoExecute", 300
    await two_nodes_with_pods(world, [limit])
    [lost] = [p for p in world.pods() if p.spec.node_name == "node-2"]
    await fall_silent(world, "node-2")
    await world.until(
        lambda: (
            taints(world, "node-2") == {("unreachable", "NoSchedule"), ("unreachable", "NoExecute")}
        )
    )
    assert taints(world, "node-1") == set()
    key = f"default/{lost.metadata.name}"
    await world.until(
        lambda: any(
            c.type == "Ready" and c.status == "False" for c in world.get(Pod, key).status.conditions
        )
    )
    # A node heard of keeps its pods; this one is given 300 seconds.
    await world.pass_time(250, alive=("node-1",))
    assert world.get(Pod, key).metadata.deletion_timestamp is None
    await world.pass_time(60, alive=("node-1",))
    await world.until(lambda: world.get(Pod, key).metadata.deletion_timestamp)
    await world.until(lambda: len([p for p in world.pods() if p.spec.node_name == "node-1"]) == 2)
    await world.until(lambda: world.events("TaintManagerEviction"))
    node = world.get(Node, "node-2")
    conditions = [to_dict(c) for c in node.status.conditions]
    for condition in conditions:
        condition["status"] = "True" if condition["type"] == "Ready" else "False"
    patch = {"status": {"conditions": conditions}}
    await world.client.patch(Node, "node-2", None, patch, subresource="status")
    await world.heartbeat("node-2")
    await world.until(lambda: taints(world, "node-2") == set())


async def test_pods_without_a_toleration_go_at_once(world) -> None:
    await two_nodes_with_pods(world, [])
    for pod in world.pods():
        # What the server adds to every pod is taken off by those who want to go at once.
        assert all(t.toleration_seconds == 300 for t in pod.spec.tolerations)
    patch = {"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoExecute"}]}}
    await world.client.patch(Node, "node-2", None, patch)
    await world.until(
        lambda: (
            [p.spec.node_name for p in world.pods() if p.status.phase == "Running"]
            == ["node-1"] * 2
        )
    )


async def test_cordon_becomes_a_taint(world) -> None:
    await world.node("node-1")
    await world.client.patch(Node, "node-1", None, {"spec": {"unschedulable": True}})
    await world.until(lambda: taints(world, "node-1") == {("unschedulable", "NoSchedule")})
    await world.client.patch(Node, "node-1", None, {"spec": {"unschedulable": False}})
    await world.until(lambda: taints(world, "node-1") == set())


async def test_pods_of_a_node_that_is_gone_are_collected(world) -> None:
    await two_nodes_with_pods(world, [])
    world.silent.add("node-2")
    await world.client.delete(Node, "node-2")
    await world.until(lambda: not world.get(Node, "node-2"))
    assert {p.spec.node_name for p in world.pods()} == {"node-1", "node-2"}
    await world.pass_time(41, alive=("node-1",))
    await world.until(
        lambda: (
            [p.spec.node_name for p in world.pods() if p.status.phase == "Running"]
            == ["node-1"] * 2
        )
    )


async def test_a_control_plane_that_slept_blames_no_node(world) -> None:
    await two_nodes_with_pods(world, [])
    await world.pass_time(0.1)
    world.advance(3600)
    await world.worked()
    await world.pass_time(40, alive=("node-1", "node-2"))
    assert {ready(world, name) for name in ("node-1", "node-2")} == {"True"}
    await fall_silent(world, "node-2")
    assert ready(world, "node-1") == "True"
