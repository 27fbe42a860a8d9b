"""How large each replica set of a deployment should be next. Pure: states in, sizes out.

Invariants of a rolling update, at every step and from every state that keeps them: the sizes never
sum to more than replicas + maxSurge, and no healthy old pod is given up while fewer than
replicas - maxUnavailable pods are available.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

from engine.controllers.revision import DESIRED_REPLICAS, MAX_REPLICAS, Family
from engine.types.apps import Deployment, ReplicaSet
from engine.types.declare import IntOrString

DEFAULT_PERCENT = "25%"


@dataclass(frozen=True, slots=True)
class Resize:
    """Give a replica set a size."""

    replica_set: ReplicaSet
    replicas: int


@dataclass(frozen=True, slots=True)
class Limits:
    """How far from `replicas` a rollout may go, in pods."""

    replicas: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        """Most pods at once."""
        return self.replicas + self.surge

    @property
    def least_available(self) -> int:
        """Fewest available pods."""
        return self.replicas - self.unavailable


def wanted(replicas: int | None) -> int:
    """A size as the API means it: absent is 1."""
    return 1 if replicas is None else replicas


def size(replica_set: ReplicaSet) -> int:
    """The size a replica set should have."""
    return wanted(replica_set.spec.replicas)


def total(replica_sets: Sequence[ReplicaSet]) -> int:
    """The sum of their sizes."""
    return sum(size(rs) for rs in replica_sets)


def limits(deployment: Deployment) -> Limits:
    """maxSurge rounded up, maxUnavailable rounded down; never both 0, or nothing could move."""
    replicas = wanted(deployment.spec.replicas)
    if deployment.spec.strategy.type == "Recreate":
        return Limits(replicas, 0, 0)
    rolling = deployment.spec.strategy.rolling_update
    surge_text = rolling.max_surge if rolling else None
    unavailable_text = rolling.max_unavailable if rolling else None
    surge = _resolve(surge_text, replicas, up=True)
    unavailable = _resolve(unavailable_text, replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Limits(replicas, surge, min(unavailable, replicas))


def _resolve(value: IntOrString | None, of: int, *, up: bool) -> int:
    if value is None:
        value = DEFAULT_PERCENT
    if isinstance(value, int):
        return value
    if not value.endswith("%"):
        raise ValueError(f"{value!r} must be an integer or a percentage such as 25%")
    part = of * int(value[:-1])
    return ceil(part / 100) if up else floor(part / 100)


def first_size(deployment: Deployment, old: Sequence[ReplicaSet]) -> int:
    """The size with which the new replica set is made."""
    return _grown(deployment, 0, total(old))


def _grown(deployment: Deployment, new: int, others: int) -> int:
    bounds = limits(deployment)
    if deployment.spec.strategy.type == "Recreate":
        return bounds.replicas
    room = max(bounds.most - new - others, 0)
    return new + min(room, bounds.replicas - new)


def roll(deployment: Deployment, sets: Family) -> list[Resize]:
    """The next step of a rolling update: grow the new one first, then shrink the old ones."""
    if sets.new is None:
        return []
    bounds = limits(deployment)
    new = size(sets.new)
    if new > bounds.replicas:
        return [Resize(sets.new, bounds.replicas)]
    grown = _grown(deployment, new, total(sets.old))
    if grown != new:
        return [Resize(sets.new, grown)]
    return _shrink_old(bounds, sets.new, sets.old)


def _shrink_old(bounds: Limits, new: ReplicaSet, old: Sequence[ReplicaSet]) -> list[Resize]:
    sizes = {rs.metadata.name: size(rs) for rs in old}
    missing = max(size(new) - new.status.available_replicas, 0)
    spare = total(old) + size(new) - missing - bounds.least_available
    # Old pods that do not work go first: they add nothing to what is available. Once they are gone
    # all old pods work, so what is still spare is the number of working pods beyond the least.
    for given_up in (_unhealthy, size):
        for rs in old:
            fewer = max(min(spare, given_up(rs), sizes[rs.metadata.name]), 0)
            sizes[rs.metadata.name] -= fewer
            spare -= fewer
    return [Resize(rs, n) for rs in old if (n := sizes[rs.metadata.name]) != size(rs)]


def _unhealthy(rs: ReplicaSet) -> int:
    return max(size(rs) - rs.status.available_replicas, 0)


def recreate(deployment: Deployment, sets: Family, *, old_pods_live: bool) -> list[Resize]:
    """The next step of Recreate: first all old pods away, then the new ones."""
    shrinking = [Resize(rs, 0) for rs in sets.old if size(rs) > 0]
    if shrinking or old_pods_live or sets.new is None:
        return shrinking
    replicas = wanted(deployment.spec.replicas)
    return [Resize(sets.new, replicas)] if size(sets.new) != replicas else []


def was_scaled(deployment: Deployment, sets: Family) -> bool:
    """Whether the deployment's size changed since its replica sets were last sized."""
    replicas = str(wanted(deployment.spec.replicas))
    return any(
        rs.metadata.annotations.get(DESIRED_REPLICAS, replicas) != replicas
        for rs in sets.all
        if size(rs) > 0
    )


def scale(deployment: Deployment, sets: Family) -> list[Resize]:
    """Bring the sizes to a changed deployment size, each in proportion while a rollout is on."""
    bounds = limits(deployment)
    active = [rs for rs in sets.all if size(rs) > 0]
    if len(active) <= 1:
        only = active[0] if active else sets.new or (sets.old[-1] if sets.old else None)
        return [Resize(only, bounds.replicas)] if only else []
    if sets.new is not None and _saturated(bounds, sets.new):
        return [Resize(rs, 0) for rs in sets.old if size(rs) > 0]
    if deployment.spec.strategy.type == "Recreate":
        # Sizes stay until the old pods are gone; the sets only take note of the new number.
        return [Resize(rs, size(rs)) for rs in active]
    return _in_proportion(deployment, bounds, active)


def _saturated(bounds: Limits, new: ReplicaSet) -> bool:
    return (
        size(new) == bounds.replicas
        and new.metadata.annotations.get(DESIRED_REPLICAS) == str(bounds.replicas)
        and new.status.available_replicas == bounds.replicas
    )


def _in_proportion(
    deployment: Deployment, bounds: Limits, active: Sequence[ReplicaSet]
) -> list[Resize]:
    allowed = bounds.most if bounds.replicas > 0 else 0
    to_add = allowed - total(active)
    # Largest first; among equals the youngest grows and the oldest shrinks.
    ordered = sorted(active, key=_created, reverse=to_add > 0)
    ordered.sort(key=size, reverse=True)
    sizes: dict[str, int] = {}
    added = 0
    for rs in ordered:
        share = _share(rs, bounds, deployment.status.replicas)
        left = to_add - added
        share = min(share, left) if to_add > 0 else max(share, left)
        sizes[rs.metadata.name] = size(rs) + (share if to_add else 0)
        added += share if to_add else 0
    largest = ordered[0].metadata.name
    sizes[largest] = max(sizes[largest] + to_add - added, 0)
    return [Resize(rs, sizes[rs.metadata.name]) for rs in ordered]


def _created(rs: ReplicaSet) -> str:
    return rs.metadata.creation_timestamp or ""


def _share(rs: ReplicaSet, bounds: Limits, reported: int) -> int:
    if bounds.replicas == 0:
        return -size(rs)
    before = int(rs.metadata.annotations.get(MAX_REPLICAS, "0")) or reported or bounds.most
    return round(size(rs) * bounds.most / before) - size(rs)
