"""ReplicaSet: keep so many pods of one template alive.

`plan` says which pods to make or give up, `status_of` what is reported; both are pure.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from engine.client.client import Client
from engine.client.informer import key_of
from engine.controllers.expectations import GIVEN_UP_AFTER, Expectations
from engine.controllers.ownership import Ownership
from engine.controllers.patch import difference
from engine.controllers.podcontrol import PodControl, pod_from_template
from engine.controllers.podstate import available_at, deletion_order, is_active, is_ready
from engine.controllers.rollout import size
from engine.controllers.runtime import After, Controller, SharedInformers
from engine.types import selector
from engine.types.apps import ReplicaSet, ReplicaSetStatus
from engine.types.clock import Clock, format
from engine.types.meta import Condition, controller_of
from engine.types.pods import Pod
from engine.types.status import NotFound, StatusError


@dataclass(frozen=True, slots=True)
class Plan:
    """How to come to the wanted number: at most one of the two is not empty."""

    create: int = 0
    delete: Sequence[Pod] = ()


def plan(replica_set: ReplicaSet, active: Sequence[Pod], related: Sequence[Pod] = ()) -> Plan:
    """Compare the active pods with the wanted number; `related` are pods of sibling sets."""
    surplus = len(active) - size(replica_set)
    if surplus > 0:
        return Plan(delete=deletion_order(active, related or active)[:surplus])
    return Plan(create=-surplus)


def status_of(
    replica_set: ReplicaSet, active: Sequence[Pod], failure: str, now: float
) -> ReplicaSetStatus:
    """What to report; `failure` is why pods could not be made, empty when they could."""
    spec = replica_set.spec
    labels = spec.template.metadata.labels.items()
    times = [available_at(pod, spec.min_ready_seconds) for pod in active]
    return ReplicaSetStatus(
        replicas=len(active),
        fully_labeled_replicas=sum(labels <= pod.metadata.labels.items() for pod in active),
        ready_replicas=sum(map(is_ready, active)),
        available_replicas=sum(at is not None and at <= now for at in times),
        observed_generation=replica_set.metadata.generation,
        conditions=_conditions(replica_set, failure, now),
    )


def _conditions(replica_set: ReplicaSet, failure: str, now: float) -> list[Condition]:
    kept = [c for c in replica_set.status.conditions if c.type != "ReplicaFailure"]
    if not failure:
        return kept
    before = next((c for c in replica_set.status.conditions if c.type == "ReplicaFailure"), None)
    since = before.last_transition_time if before else format(now)
    return [
        *kept,
        Condition(
            type="ReplicaFailure",
            status="True",
            reason="FailedCreate",
            message=failure,
            last_transition_time=since,
        ),
    ]


class ReplicaSetController(Controller):
    """Makes and removes pods until as many are active as each replica set wants."""

    name = "replicaset-controller"

    def __init__(
        self, client: Client, informers: SharedInformers, clock: Clock = time.time
    ) -> None:
        super().__init__(client, informers, clock)
        self._sets = informers.of(ReplicaSet)
        self._siblings: Ownership[ReplicaSet] = Ownership(client, informers, ReplicaSet)
        self._pods: Ownership[Pod] = Ownership(client, informers, Pod)
        self._expected = Expectations(clock)
        self._control = PodControl(client, self.events, self._expected)
        self._sets.add_handler(self._on_set)
        informers.of(Pod).add_handler(self._on_pod)

    def _on_set(self, old: ReplicaSet | None, new: ReplicaSet | None) -> None:
        changed = new or old
        if changed is not None:
            self.queue.add(key_of(changed))

    def _on_pod(self, old: Pod | None, new: Pod | None) -> None:
        pod = new or old
        if pod is None:
            return
        key = self._owner_key(pod)
        before = self._owner_key(old) if old is not None else ""
        if before and before != key:
            self.queue.add(before)
        if not key:
            self._wake_adopters(pod)
            return
        if old is None:
            self._expected.creation_done(key)
        if new is None or new.metadata.deletion_timestamp is not None:
            self._expected.deletion_done(key, pod.metadata.uid)
        self.queue.add(key)

    def _owner_key(self, pod: Pod) -> str:
        owner = controller_of(pod.metadata)
        if owner is None or owner.kind != "ReplicaSet":
            return ""
        return f"{pod.metadata.namespace}/{owner.name}"

    def _wake_adopters(self, pod: Pod) -> None:
        if controller_of(pod.metadata) is not None or pod.metadata.deletion_timestamp is not None:
            return
        for replica_set in self._sets.objects.values():
            if replica_set.metadata.namespace == pod.metadata.namespace and selector.of(
                replica_set.spec.selector
            ).matches(pod.metadata.labels):
                self.queue.add(key_of(replica_set))

    async def reconcile(self, key: str) -> After | None:
        """Claim pods, correct their number, report."""
        replica_set = self._sets.objects.get(key)
        if replica_set is None:
            self._expected.forget(key)
            return None
        pods = await self._pods.claim(replica_set, selector.of(replica_set.spec.selector))
        active = [pod for pod in pods if is_active(pod)]
        failure: StatusError | None = None
        satisfied = self._expected.satisfied(key)
        if replica_set.metadata.deletion_timestamp is None and satisfied:
            failure = await self._resize(replica_set, active)
        await self._report(replica_set, active, str(failure or ""))
        if failure is not None:
            raise failure
        return self._next_look(replica_set, active) if satisfied else After(GIVEN_UP_AFTER)

    async def _resize(self, replica_set: ReplicaSet, active: Sequence[Pod]) -> StatusError | None:
        steps = plan(replica_set, active, self._related(replica_set))
        await self._control.delete(replica_set, steps.delete)
        template = replica_set.spec.template
        return await self._control.create(
            replica_set, steps.create, lambda _: pod_from_template(template, replica_set)
        )

    def _related(self, replica_set: ReplicaSet) -> list[Pod]:
        owner = controller_of(replica_set.metadata)
        if owner is None:
            return self._pods.owned(replica_set)
        family = self._siblings.owned_by(owner.uid)
        return [pod for sibling in family for pod in self._pods.owned(sibling)]

    async def _report(self, replica_set: ReplicaSet, active: Sequence[Pod], failure: str) -> None:
        status = status_of(replica_set, active, failure, self.clock())
        patch = difference(replica_set.status, status)
        if not patch:
            return
        meta = replica_set.metadata
        try:
            await self.client.patch(
                ReplicaSet, meta.name, meta.namespace, {"status": patch}, subresource="status"
            )
        except NotFound:
            return

    def _next_look(self, replica_set: ReplicaSet, active: Sequence[Pod]) -> After | None:
        """When the next ready pod becomes available."""
        now = self.clock()
        times = [available_at(pod, replica_set.spec.min_ready_seconds) for pod in active]
        coming = [at - now for at in times if at is not None and at > now]
        return After(min(coming)) if coming else None
