"""Deployment: replace pods by pods of the newest template, in good order.

It owns replica sets, one per template, and only sizes them; how large each should be is decided in
rollout.py, what is reported in progress.py.
"""

import time
from collections.abc import Iterable

from engine.client.client import Client
from engine.client.informer import key_of
from engine.controllers import progress, rollout
from engine.controllers.ownership import Ownership
from engine.controllers.patch import difference, merge_patch
from engine.controllers.progress import Notice
from engine.controllers.revision import (
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    REVISION,
    Family,
    family,
    new_annotations,
    new_replica_set,
    next_revision,
    revision,
    same_template,
)
from engine.controllers.rollout import Resize, limits, size
from engine.controllers.runtime import After, Controller, SharedInformers
from engine.types import selector
from engine.types.apps import Deployment, DeploymentStatus, ReplicaSet
from engine.types.clock import Clock
from engine.types.meta import controller_of
from engine.types.pods import Pod
from engine.types.status import AlreadyExists, NotFound, StatusError


class DeploymentController(Controller):
    """Makes, sizes and clears away the replica sets of deployments."""

    name = "deployment-controller"

    def __init__(
        self, client: Client, informers: SharedInformers, clock: Clock = time.time
    ) -> None:
        super().__init__(client, informers, clock)
        self._deployments = informers.of(Deployment)
        self._sets: Ownership[ReplicaSet] = Ownership(client, informers, ReplicaSet)
        self._pods: Ownership[Pod] = Ownership(client, informers, Pod)
        self._deployments.add_handler(self._on_deployment)
        informers.of(ReplicaSet).add_handler(self._on_set)
        informers.of(Pod).add_handler(self._on_pod)

    def _on_deployment(self, old: Deployment | None, new: Deployment | None) -> None:
        changed = new or old
        if changed is not None:
            self.queue.add(key_of(changed))

    def _on_set(self, old: ReplicaSet | None, new: ReplicaSet | None) -> None:
        for replica_set in (old, new):
            if replica_set is None:
                continue
            owner = controller_of(replica_set.metadata)
            if owner is not None and owner.kind == "Deployment":
                self.queue.add(f"{replica_set.metadata.namespace}/{owner.name}")
        if new is not None and controller_of(new.metadata) is None:
            for deployment in self._deployments.objects.values():
                if deployment.metadata.namespace == new.metadata.namespace and selector.of(
                    deployment.spec.selector
                ).matches(new.metadata.labels):
                    self.queue.add(key_of(deployment))

    def _on_pod(self, old: Pod | None, new: Pod | None) -> None:
        """Recreate waits for the last old pod to be gone, which no replica set reports."""
        if old is None or new is not None:
            return
        owner = controller_of(old.metadata)
        if owner is None or owner.kind != "ReplicaSet":
            return
        replica_set = self.informers.of(ReplicaSet).objects.get(
            f"{old.metadata.namespace}/{owner.name}"
        )
        above = controller_of(replica_set.metadata) if replica_set else None
        if above is None or above.kind != "Deployment":
            return
        key = f"{old.metadata.namespace}/{above.name}"
        deployment = self._deployments.objects.get(key)
        if deployment is not None and deployment.spec.strategy.type == "Recreate":
            self.queue.add(key)

    async def reconcile(self, key: str) -> After | None:
        """One step of the rollout, then a report; the watch brings the next step."""
        deployment = self._deployments.objects.get(key)
        if deployment is None:
            return None
        claimed = await self._sets.claim(deployment, selector.of(deployment.spec.selector))
        sets = family(deployment, claimed)
        if deployment.metadata.deletion_timestamp is not None:
            return await self._report(deployment, sets, [])
        if deployment.spec.paused or rollout.was_scaled(deployment, sets):
            await self._resize(deployment, rollout.scale(deployment, sets))
            if deployment.spec.paused:
                await self._clean_up(deployment, sets)
            return await self._report(deployment, sets, self._pause_notice(deployment))
        sets, notices = await self._with_new(deployment, sets)
        await self._resize(deployment, self._steps(deployment, sets))
        status = progress.numbers(deployment, sets, self.clock())
        if progress.is_complete(deployment, status):
            await self._clean_up(deployment, sets)
        return await self._report(
            deployment, sets, [*self._pause_notice(deployment), *notices], rolling=True
        )

    def _steps(self, deployment: Deployment, sets: Family) -> list[Resize]:
        if deployment.spec.strategy.type == "Recreate":
            return rollout.recreate(deployment, sets, old_pods_live=self._live(sets.old))
        return rollout.roll(deployment, sets)

    def _live(self, replica_sets: Iterable[ReplicaSet]) -> bool:
        return any(
            pod.status.phase not in ("Succeeded", "Failed")
            for replica_set in replica_sets
            for pod in self._pods.owned(replica_set)
        )

    # -- the new replica set --------------------------------------------------------------------

    async def _with_new(self, deployment: Deployment, sets: Family) -> tuple[Family, list[Notice]]:
        """Make sure that the new replica set is there and carries its revision."""
        if deployment.spec.strategy.type == "Recreate" and sets.new is None:
            shrinking = any(size(rs) for rs in sets.old)
            if shrinking or self._live(sets.old):
                return sets, []
        annotations = new_annotations(deployment, sets.new, next_revision(sets.old))
        if sets.new is None:
            return await self._create(deployment, sets, annotations)
        spec: dict[str, object] = {}
        if sets.new.spec.min_ready_seconds != deployment.spec.min_ready_seconds:
            spec["minReadySeconds"] = deployment.spec.min_ready_seconds
        changes = merge_patch(sets.new.metadata.annotations, annotations)
        if changes or spec:
            patch = {"metadata": {"annotations": changes}, "spec": spec}
            await self._patch(sets.new, patch)
        await self._set_revision(deployment, annotations[REVISION])
        if progress.find(deployment.status, "Progressing") is None:
            text = f'Found new replica set "{sets.new.metadata.name}"'
            return sets, [Notice("Progressing", "True", "FoundNewReplicaSet", text)]
        return sets, []

    async def _create(
        self, deployment: Deployment, sets: Family, annotations: dict[str, str]
    ) -> tuple[Family, list[Notice]]:
        replicas = rollout.first_size(deployment, sets.old)
        wanted = new_replica_set(deployment, replicas, {**annotations, **_sized(deployment)})
        name = wanted.metadata.name
        try:
            made = await self.client.create(wanted)
        except AlreadyExists:
            found = await self._found(deployment, wanted)
            return Family(found, sets.old), []
        except StatusError as error:
            text = f'Failed to create new replica set "{name}": {error}'
            await self._report(
                deployment,
                sets,
                [Notice("Progressing", "False", "ReplicaSetCreateError", text)],
            )
            raise
        if replicas > 0:
            self._say_scaled(deployment, name, 0, replicas)
        await self._set_revision(deployment, annotations[REVISION])
        text = f'Created new replica set "{name}"'
        notice = Notice("Progressing", "True", "NewReplicaSetCreated", text)
        return Family(made, sets.old), [notice] if progress.has_deadline(deployment) else []

    async def _found(self, deployment: Deployment, wanted: ReplicaSet) -> ReplicaSet:
        """The name is taken: by our own set that the cache does not show yet, or by a stranger."""
        meta = wanted.metadata
        found = await self.client.get(ReplicaSet, meta.name, meta.namespace)
        owner = controller_of(found.metadata)
        ours = owner is not None and owner.uid == deployment.metadata.uid
        if ours and same_template(found.spec.template, deployment.spec.template):
            return found
        collisions = (deployment.status.collision_count or 0) + 1
        await self.client.patch(
            Deployment,
            deployment.metadata.name,
            deployment.metadata.namespace,
            {"status": {"collisionCount": collisions}},
            subresource="status",
        )
        raise AlreadyExists("replicasets.apps", meta.name)

    async def _set_revision(self, deployment: Deployment, number: str) -> None:
        if deployment.metadata.annotations.get(REVISION) == number:
            return
        patch = {"metadata": {"annotations": {REVISION: number}}}
        meta = deployment.metadata
        await self.client.patch(Deployment, meta.name, meta.namespace, patch)

    # -- sizes ----------------------------------------------------------------------------------

    async def _resize(self, deployment: Deployment, steps: Iterable[Resize]) -> None:
        sized = _sized(deployment)
        for step in steps:
            before = size(step.replica_set)
            changes = merge_patch(
                step.replica_set.metadata.annotations,
                {
                    **step.replica_set.metadata.annotations,
                    **sized,
                },
            )
            if before == step.replicas and not changes:
                continue
            patch = {"spec": {"replicas": step.replicas}, "metadata": {"annotations": changes}}
            await self._patch(step.replica_set, patch)
            if before != step.replicas:
                self._say_scaled(deployment, step.replica_set.metadata.name, before, step.replicas)

    async def _patch(self, replica_set: ReplicaSet, patch: dict[str, object]) -> None:
        """Write only over the state that was looked at, so a stale cache cannot size twice."""
        meta = replica_set.metadata
        inner = patch.setdefault("metadata", {})
        assert isinstance(inner, dict)
        inner["resourceVersion"] = meta.resource_version
        await self.client.patch(ReplicaSet, meta.name, meta.namespace, patch)

    def _say_scaled(self, deployment: Deployment, name: str, before: int, after: int) -> None:
        way = "up" if after > before else "down"
        text = f"Scaled {way} replica set {name} from {before} to {after}"
        self.events.record(deployment, "Normal", "ScalingReplicaSet", text)

    async def _clean_up(self, deployment: Deployment, sets: Family) -> None:
        """Remove the oldest emptied replica sets beyond the history limit."""
        limit = deployment.spec.revision_history_limit
        if limit is None:
            return
        empty = [rs for rs in sets.old if rs.metadata.deletion_timestamp is None]
        for replica_set in sorted(empty, key=revision)[: max(len(empty) - limit, 0)]:
            status = replica_set.status
            settled = status.observed_generation >= replica_set.metadata.generation
            if size(replica_set) or status.replicas or not settled:
                continue
            meta = replica_set.metadata
            try:
                await self.client.delete(ReplicaSet, meta.name, meta.namespace, uid=meta.uid)
            except NotFound:
                continue

    # -- reports --------------------------------------------------------------------------------

    def _pause_notice(self, deployment: Deployment) -> list[Notice]:
        if not progress.has_deadline(deployment):
            return []
        before = progress.find(deployment.status, "Progressing")
        if before is not None and before.reason == "ProgressDeadlineExceeded":
            return []
        was_paused = before is not None and before.reason == "DeploymentPaused"
        if deployment.spec.paused and not was_paused:
            text = "Deployment is paused"
            return [Notice("Progressing", "Unknown", "DeploymentPaused", text)]
        if not deployment.spec.paused and was_paused:
            text = "Deployment is resumed"
            return [Notice("Progressing", "Unknown", "DeploymentResumed", text)]
        return []

    async def _report(
        self,
        deployment: Deployment,
        sets: Family,
        notices: Iterable[Notice],
        *,
        rolling: bool = False,
    ) -> After | None:
        now = self.clock()
        status = progress.numbers(deployment, sets, now)
        for notice in notices:
            progress.set_condition(status, notice, now)
        if rolling:
            progress.report_progress(deployment, status, sets, now)
        await self._write(deployment, status)
        seconds = progress.seconds_to_deadline(deployment, status, now)
        return After(seconds) if rolling and seconds is not None else None

    async def _write(self, deployment: Deployment, status: DeploymentStatus) -> None:
        patch = difference(deployment.status, status)
        if not patch:
            return
        meta = deployment.metadata
        try:
            await self.client.patch(
                Deployment, meta.name, meta.namespace, {"status": patch}, subresource="status"
            )
        except NotFound:
            return


def _sized(deployment: Deployment) -> dict[str, str]:
    bounds = limits(deployment)
    return {DESIRED_REPLICAS: str(bounds.replicas), MAX_REPLICAS: str(bounds.most)}
