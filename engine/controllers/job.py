"""Job: run pods until enough of them have succeeded. What to do is decided in jobplan.py."""

import time

from engine.client.client import Client
from engine.client.informer import key_of
from engine.controllers.expectations import GIVEN_UP_AFTER, Expectations
from engine.controllers.jobplan import INDEX, JobPlan, finished, plan
from engine.controllers.ownership import Ownership
from engine.controllers.patch import difference
from engine.controllers.podcontrol import PodControl, pod_from_template
from engine.controllers.runtime import After, Controller, SharedInformers
from engine.types.batch import Job
from engine.types.clock import Clock
from engine.types.containers import EnvVar, EnvVarSource
from engine.types.meta import controller_of
from engine.types.pods import Pod
from engine.types.status import NotFound
from engine.types.volumes import ObjectFieldSelector

INDEX_VARIABLE = "JOB_COMPLETION_INDEX"


class JobController(Controller):
    """Makes the pods of jobs and counts how they end."""

    name = "job-controller"

    def __init__(
        self, client: Client, informers: SharedInformers, clock: Clock = time.time
    ) -> None:
        super().__init__(client, informers, clock)
        self._jobs = informers.of(Job)
        self._pods: Ownership[Pod] = Ownership(client, informers, Pod)
        self._expected = Expectations(clock)
        self._control = PodControl(client, self.events, self._expected)
        self._jobs.add_handler(self._on_job)
        informers.of(Pod).add_handler(self._on_pod)

    def _on_job(self, old: Job | None, new: Job | None) -> None:
        changed = new or old
        if changed is not None:
            self.queue.add(key_of(changed))

    def _on_pod(self, old: Pod | None, new: Pod | None) -> None:
        pod = new or old
        owner = controller_of(pod.metadata) if pod else None
        if pod is None or owner is None or owner.kind != "Job":
            return
        key = f"{pod.metadata.namespace}/{owner.name}"
        if old is None:
            self._expected.creation_done(key)
        if new is None or new.metadata.deletion_timestamp is not None:
            self._expected.deletion_done(key, pod.metadata.uid)
        self.queue.add(key)

    async def reconcile(self, key: str) -> After | None:
        """Count, decide, act, report."""
        job = self._jobs.objects.get(key)
        if job is None:
            self._expected.forget(key)
            return None
        if job.metadata.deletion_timestamp is not None or finished(job) is not None:
            return None
        pods = self._pods.owned(job)
        steps = plan(job, pods, self.clock())
        failure = None
        satisfied = self._expected.satisfied(key)
        if not satisfied:
            steps.look_in(GIVEN_UP_AFTER)
        else:
            await self._control.delete(job, steps.delete)
            failure = await self._control.create(
                job, len(steps.create), lambda n: self._pod(job, steps.create[n])
            )
        if await self._report(job, steps):
            for type_, reason, message in steps.events:
                self.events.record(job, type_, reason, message)
        if failure is not None:
            raise failure
        return None if steps.after is None else After(steps.after)

    async def _report(self, job: Job, steps: JobPlan) -> bool:
        patch = difference(job.status, steps.status)
        if not patch:
            return bool(steps.events)
        meta = job.metadata
        # Only over the state that was looked at: an end must not be written twice.
        body = {"metadata": {"resourceVersion": meta.resource_version}, "status": patch}
        try:
            await self.client.patch(Job, meta.name, meta.namespace, body, subresource="status")
        except NotFound:
            return False
        return True

    def _pod(self, job: Job, index: int | None) -> Pod:
        pod = pod_from_template(job.spec.template, job)
        uid, name = job.metadata.uid, job.metadata.name
        pod.metadata.labels |= {
            "batch.kubernetes.io/controller-uid": uid,
            "batch.kubernetes.io/job-name": name,
            "controller-uid": uid,
            "job-name": name,
        }
        if index is None:
            return pod
        pod.metadata.generate_name = f"{name}-{index}-"
        pod.metadata.labels[INDEX] = str(index)
        pod.metadata.annotations[INDEX] = str(index)
        pod.spec.hostname = pod.spec.hostname or f"{name}-{index}"
        source = EnvVarSource(
            field_ref=ObjectFieldSelector(field_path=f"metadata.annotations['{INDEX}']")
        )
        for container in (*pod.spec.init_containers, *pod.spec.containers):
            if all(variable.name != INDEX_VARIABLE for variable in container.env):
                container.env.append(EnvVar(name=INDEX_VARIABLE, value_from=source))
        return pod
