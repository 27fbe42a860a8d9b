"""Deployments on a real store and API: made, bound, rolled, scaled, paused, deleted."""

from engine.types.apps import Deployment, DeploymentSpec, DeploymentStrategy, ReplicaSet
from engine.types.containers import Container
from engine.types.meta import LabelSelector, ObjectMeta
from engine.types.pods import Pod, PodSpec, PodTemplateSpec
from engine.types.status import NotFound


def web(replicas: int = 3, image: str = "web:1", strategy: str = "") -> Deployment:
    return Deployment(
        metadata=ObjectMeta(name="web", namespace="default"),
        spec=DeploymentSpec(
            replicas=replicas,
            selector=LabelSelector(match_labels={"app": "web"}),
            strategy=DeploymentStrategy(type=strategy),
            template=PodTemplateSpec(
                metadata=ObjectMeta(labels={"app": "web"}),
                spec=PodSpec(containers=[Container(name="c", image=image)]),
            ),
        ),
    )


async def start(world, **wishes) -> None:
    for name in ("node-1", "node-2", "node-3"):
        await world.node(name)
    await world.client.create(web(**wishes))


def ready(world, image: str, count: int):
    def holds() -> bool:
        deployment = world.get(Deployment, "default/web")
        pods = world.pods(app="web")
        return (
            deployment is not None
            and deployment.status.observed_generation == deployment.metadata.generation
            and deployment.status.available_replicas == count
            and deployment.status.updated_replicas == count
            and len(pods) == count
            and all(p.spec.containers[0].image == image for p in pods)
        )

    return holds


def numbers(world) -> tuple[int, int, int]:
    status = world.get(Deployment, "default/web").status
    return status.replicas, status.updated_replicas, status.available_replicas


def reason(world, type_: str) -> str:
    conditions = world.get(Deployment, "default/web").status.conditions
    return next((c.reason for c in conditions if c.type == type_), "")


async def set_image(world, image: str) -> None:
    container = {"name": "c", "image": image}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    await world.client.patch(Deployment, "web", "default", patch)


async def test_pods_are_made_and_spread_over_the_nodes(world) -> None:
    await start(world)
    await world.until(ready(world, "web:1", 3))
    assert {p.spec.node_name for p in world.pods()} == {"node-1", "node-2", "node-3"}
    [replica_set] = world.all(ReplicaSet)
    code = replica_set.metadata.labels["pod-template-hash"]
    assert replica_set.metadata.name == f"web-{code}"
    assert all(p.metadata.labels["pod-template-hash"] == code for p in world.pods())
    await world.until(lambda: reason(world, "Progressing") == "NewReplicaSetAvailable")
    assert reason(world, "Available") == "MinimumReplicasAvailable"
    await world.until(lambda: world.events("ScalingReplicaSet"))
    name = replica_set.metadata.name
    assert world.events("ScalingReplicaSet") == [f"Scaled up replica set {name} from 0 to 3"]
    await world.until(lambda: len(world.events("Scheduled")) == 3)


async def test_a_rollout_replaces_every_pod_within_its_limits(world) -> None:
    await start(world, replicas=4)
    await world.until(ready(world, "web:1", 4))
    world.most_pods = 0
    await set_image(world, "web:2")
    await world.until(ready(world, "web:2", 4))
    live = [p for p in world.pods() if p.metadata.deletion_timestamp is None]
    assert len(live) == 4
    revisions = {
        rs.metadata.annotations["deployment.kubernetes.io/revision"]: rs.spec.replicas
        for rs in world.all(ReplicaSet)
    }
    assert revisions == {"1": 0, "2": 4}
    deployment = world.get(Deployment, "default/web")
    assert deployment.metadata.annotations["deployment.kubernetes.io/revision"] == "2"


async def test_going_back_takes_up_the_old_replica_set(world) -> None:
    await start(world)
    await world.until(ready(world, "web:1", 3))
    await set_image(world, "web:2")
    await world.until(ready(world, "web:2", 3))
    await set_image(world, "web:1")
    await world.until(ready(world, "web:1", 3))
    await world.until(
        lambda: (
            world.get(Deployment, "default/web").metadata.annotations[
                "deployment.kubernetes.io/revision"
            ]
            == "3"
        )
    )
    assert len(world.all(ReplicaSet)) == 2


async def test_a_bad_image_stops_the_rollout_with_enough_old_pods(world) -> None:
    await start(world, replicas=4)
    await world.until(ready(world, "web:1", 4))
    world.unready.add("web:bad")
    await set_image(world, "web:bad")
    await world.until(lambda: numbers(world) == (5, 2, 3))
    world.advance(700)
    await world.until(lambda: reason(world, "Progressing") == "ProgressDeadlineExceeded")
    assert reason(world, "Available") == "MinimumReplicasAvailable"


async def test_scaling(world) -> None:
    await start(world, replicas=2)
    await world.until(ready(world, "web:1", 2))
    await world.client.patch(Deployment, "web", "default", {"spec": {"replicas": 7}})
    await world.until(ready(world, "web:1", 7))
    await world.client.patch(Deployment, "web", "default", {"spec": {"replicas": 1}})
    await world.until(ready(world, "web:1", 1))
    await world.client.patch(Deployment, "web", "default", {"spec": {"replicas": 0}})
    await world.until(lambda: not world.pods())


async def test_recreate_never_mixes_old_and_new(world) -> None:
    await start(world, strategy="Recreate")
    await world.until(ready(world, "web:1", 3))
    images: set[frozenset[str]] = set()
    world.informers.of(Pod).add_handler(
        lambda old, new: images.add(frozenset(p.spec.containers[0].image for p in world.pods()))
    )
    await set_image(world, "web:2")
    await world.until(ready(world, "web:2", 3))
    assert frozenset({"web:1", "web:2"}) not in images


async def test_a_paused_deployment_waits(world) -> None:
    await start(world)
    await world.until(ready(world, "web:1", 3))
    await world.client.patch(Deployment, "web", "default", {"spec": {"paused": True}})
    await world.until(lambda: reason(world, "Progressing") == "DeploymentPaused")
    await set_image(world, "web:2")
    await world.until(
        lambda: (
            world.get(Deployment, "default/web").status.observed_generation
            == world.get(Deployment, "default/web").metadata.generation
        )
    )
    assert len(world.all(ReplicaSet)) == 1
    await world.client.patch(Deployment, "web", "default", {"spec": {"paused": False}})
    await world.until(ready(world, "web:2", 3))


async def test_history_is_limited(world) -> None:
    await start(world)
    await world.client.patch(Deployment, "web", "default", {"spec": {"revisionHistoryLimit": 1}})
    for number in (1, 2, 3, 4):
        await set_image(world, f"web:{number}")
        await world.until(ready(world, f"web:{number}", 3))
    await world.until(lambda: len(world.all(ReplicaSet)) == 2)


async def test_a_deleted_pod_is_replaced(world) -> None:
    await start(world)
    await world.until(ready(world, "web:1", 3))
    victim = world.pods()[0]
    await world.client.delete(Pod, victim.metadata.name, "default")
    await world.until(
        lambda: (
            len(world.pods()) == 3
            and victim.metadata.name not in {p.metadata.name for p in world.pods()}
        )
    )


async def test_background_deletion_takes_everything(world) -> None:
    await start(world)
    await world.until(ready(world, "web:1", 3))
    await world.client.delete(Deployment, "web", "default")
    await world.until(lambda: not world.pods() and not world.all(ReplicaSet))


async def test_foreground_deletion_keeps_the_owner_to_the_last(world) -> None:
    await start(world)
    await world.until(ready(world, "web:1", 3))
    order: list[str] = []
    for cls in (Pod, ReplicaSet, Deployment):
        world.informers.of(cls).add_handler(
            lambda old, new: order.append(old.kind) if new is None else None
        )
    await world.client.delete(Deployment, "web", "default", propagation="Foreground")
    await world.until(lambda: not world.all(Deployment))
    assert order == ["Pod"] * 3 + ["ReplicaSet", "Deployment"]


async def test_orphaning_keeps_the_dependents(world) -> None:
    await start(world)
    await world.until(ready(world, "web:1", 3))
    await world.client.delete(Deployment, "web", "default", propagation="Orphan")
    await world.until(lambda: not world.all(Deployment))
    [replica_set] = world.all(ReplicaSet)
    assert not replica_set.metadata.owner_references
    assert len(world.pods()) == 3
    await world.client.create(web())
    await world.until(lambda: (sets := world.all(ReplicaSet)) and sets[0].metadata.owner_references)
    assert len(world.all(ReplicaSet)) == 1


async def test_a_namespace_goes_with_all_that_lives_in_it(world) -> None:
    from engine.types.core import Namespace, ServiceAccount

    await world.node("node-1")
    await world.client.create(Namespace(metadata=ObjectMeta(name="shop")))
    await world.until(lambda: world.get(ServiceAccount, "shop/default"))
    deployment = web()
    deployment.metadata.namespace = "shop"
    await world.client.create(deployment)
    await world.until(lambda: len([p for p in world.pods() if p.status.phase == "Running"]) == 3)
    await world.client.delete(Namespace, "shop")
    await world.until(lambda: "shop" not in world.informers.of(Namespace).objects)
    assert not world.pods()
    try:
        await world.client.get(ServiceAccount, "default", "shop")
    except NotFound:
        pass
    else:
        raise AssertionError("the service account survived its namespace")
