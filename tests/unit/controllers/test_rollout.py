"""The sizes of a rollout: figures as Kubernetes', limits kept in every order of events."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.controllers import rollout
from engine.controllers.revision import DESIRED_REPLICAS, MAX_REPLICAS, Family
from engine.types.apps import (
    Deployment,
    DeploymentSpec,
    DeploymentStrategy,
    ReplicaSet,
    ReplicaSetSpec,
    ReplicaSetStatus,
    RollingUpdateDeployment,
)
from engine.types.meta import ObjectMeta


def deployment(replicas: int | None, surge=None, unavailable=None, kind="RollingUpdate"):
    rolling = RollingUpdateDeployment(max_surge=surge, max_unavailable=unavailable)
    strategy = DeploymentStrategy(type=kind, rolling_update=rolling)
    return Deployment(spec=DeploymentSpec(replicas=replicas, strategy=strategy))


def replica_set(name: str, size: int, available: int | None = None, **annotations) -> ReplicaSet:
    return ReplicaSet(
        metadata=ObjectMeta(name=name, creation_timestamp=name, annotations=annotations),
        spec=ReplicaSetSpec(replicas=size),
        status=ReplicaSetStatus(available_replicas=size if available is None else available),
    )


def sizes(steps) -> dict[str, int]:
    return {step.replica_set.metadata.name: step.replicas for step in steps}


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "most", "least"),
    [
        (10, "25%", "25%", 13, 8),
        (4, None, None, 5, 3),
        (1, None, None, 2, 1),
        (3, 1, 0, 4, 3),
        (3, 0, 0, 3, 2),
        (3, "0%", "0%", 3, 2),
        (3, 0, "100%", 3, 0),
        (2, 0, 5, 2, 0),
        (None, 1, 1, 2, 0),
        (0, None, None, 0, 0),
    ],
)
def test_limits(replicas, surge, unavailable, most, least) -> None:
    bounds = rollout.limits(deployment(replicas, surge, unavailable))
    assert (bounds.most, bounds.least_available) == (most, least)


def test_bad_percentages_are_named() -> None:
    with pytest.raises(ValueError, match="'a quarter' must be an integer or a percentage"):
        rollout.limits(deployment(3, "a quarter"))


def test_the_new_set_grows_within_the_surge_before_old_ones_shrink() -> None:
    wish = deployment(10)
    old, new = replica_set("old", 10), replica_set("new", 0)
    assert rollout.first_size(wish, [old]) == 3
    assert sizes(rollout.roll(wish, Family(new, (old,)))) == {"new": 3}
    # Three new pods that are not available: two old ones may go.
    new = replica_set("new", 3, 0)
    assert sizes(rollout.roll(wish, Family(new, (old,)))) == {"old": 8}
    old, new = replica_set("old", 8), replica_set("new", 3, 0)
    assert sizes(rollout.roll(wish, Family(new, (old,)))) == {"new": 5}


def test_unhealthy_old_pods_go_first() -> None:
    wish = deployment(10)
    sick, well = replica_set("b-sick", 4, 1), replica_set("a-well", 7)
    new = replica_set("new", 2, 0)
    assert sizes(rollout.roll(wish, Family(new, (well, sick)))) == {"b-sick": 1}


def test_recreate_waits_for_the_last_old_pod() -> None:
    wish = deployment(3, kind="Recreate")
    old, new = replica_set("old", 3), replica_set("new", 0)
    assert sizes(rollout.recreate(wish, Family(new, (old,)), old_pods_live=True)) == {"old": 0}
    old = replica_set("old", 0)
    assert rollout.recreate(wish, Family(new, (old,)), old_pods_live=True) == []
    assert sizes(rollout.recreate(wish, Family(new, (old,)), old_pods_live=False)) == {"new": 3}


def sized(name: str, size: int, desired: int, most: int) -> ReplicaSet:
    return replica_set(name, size, **{DESIRED_REPLICAS: str(desired), MAX_REPLICAS: str(most)})


@pytest.mark.parametrize(
    ("replicas", "old", "new", "expected"),
    [
        (20, 8, 5, {"old": 15, "new": 10}),
        (5, 8, 5, {"old": 4, "new": 3}),
        (0, 8, 5, {"old": 0, "new": 0}),
    ],
)
def test_scaling_amid_a_rollout_keeps_the_proportion(replicas, old, new, expected) -> None:
    wish = deployment(replicas)
    sets = Family(sized("new", new, 10, 13), (sized("old", old, 10, 13),))
    assert rollout.was_scaled(wish, sets)
    assert sizes(rollout.scale(wish, sets)) == expected


def test_scaling_a_settled_deployment() -> None:
    wish = deployment(7)
    sets = Family(sized("new", 3, 3, 4), (sized("old", 0, 3, 4),))
    assert rollout.was_scaled(wish, sets)
    assert sizes(rollout.scale(wish, sets)) == {"new": 7}
    assert not rollout.was_scaled(deployment(3), sets)


class Cluster:
    """Replica sets and pods that follow a deployment, each as late as it likes."""

    def __init__(self, wish: Deployment) -> None:
        replicas = rollout.wanted(wish.spec.replicas)
        self.wish = wish
        self.old = replica_set("old", replicas)
        self.new = replica_set("new", rollout.first_size(wish, [self.old]), 0)
        self.real = {"old": [True] * replicas, "new": []}

    def family(self) -> Family:
        return Family(self.new, (self.old,))

    def deployment_acts(self) -> None:
        for step in rollout.roll(self.wish, self.family()):
            step.replica_set.spec.replicas = step.replicas

    def set_acts(self, which: ReplicaSet) -> None:
        pods = self.real[which.metadata.name]
        pods.sort()
        surplus = max(len(pods) - rollout.size(which), 0)
        if any(pods[:surplus]):
            # The rollout takes working pods away only while enough of them are left.
            left = sum(map(sum, self.real.values())) - sum(pods[:surplus])
            assert left >= rollout.limits(self.wish).least_available
        del pods[:surplus]
        pods.extend([False] * (rollout.size(which) - len(pods)))

    def set_reports(self, which: ReplicaSet) -> None:
        which.status.available_replicas = sum(self.real[which.metadata.name])

    def pod_gets_sick(self, which: ReplicaSet) -> None:
        """Old pods only, and known at once: of what is not reported nothing can be promised."""
        pods = self.real["old"]
        if True in pods:
            pods[pods.index(True)] = False
            self.set_reports(self.old)

    def pods_get_ready(self, which: ReplicaSet) -> None:
        pods = self.real[which.metadata.name]
        if False in pods:
            pods[pods.index(False)] = True


ACTIONS = ("deployment_acts", "set_acts", "set_reports", "pods_get_ready", "pod_gets_sick")
actions = st.lists(
    st.tuples(
        st.sampled_from(ACTIONS),
        st.booleans(),
    ),
    max_size=80,
)
bound = st.one_of(st.integers(0, 5), st.integers(0, 100).map(lambda n: f"{n}%"))


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 12), bound, bound, actions)
def test_limits_hold_in_every_order_and_the_rollout_ends(replicas, surge, gap, order) -> None:
    cluster = Cluster(deployment(replicas, surge, gap))
    bounds = rollout.limits(cluster.wish)

    def check() -> None:
        assert rollout.total(cluster.family().all) <= bounds.most
        if not any(action == "pod_gets_sick" for action, _ in order):
            assert sum(map(sum, cluster.real.values())) >= bounds.least_available

    def act(action: str, which: ReplicaSet) -> None:
        getattr(cluster, action)(*(() if action == "deployment_acts" else (which,)))
        check()

    check()
    for action, on_new in order:
        act(action, cluster.new if on_new else cluster.old)
    for _ in range(4 * replicas + 4):
        for action in ("deployment_acts", "set_acts", "pods_get_ready", "set_reports"):
            for which in (cluster.old, cluster.new):
                act(action, which)
    assert (rollout.size(cluster.new), rollout.size(cluster.old)) == (replicas, 0)
    assert cluster.real == {"old": [], "new": [True] * replicas}
