"""TTL: a job that has ended is removed, with its pods, when its time is over."""

import time

from engine.client.client import Client
from engine.client.informer import key_of
from engine.controllers.jobplan import finished
from engine.controllers.runtime import After, Controller, SharedInformers
from engine.types.batch import Job
from engine.types.clock import Clock, parse
from engine.types.status import NotFound


class TtlController(Controller):
    """Deletes ended jobs after `ttlSecondsAfterFinished`."""

    name = "ttl-after-finished-controller"
    workers = 1

    def __init__(
        self, client: Client, informers: SharedInformers, clock: Clock = time.time
    ) -> None:
        super().__init__(client, informers, clock)
        self._jobs = informers.of(Job)
        self._jobs.add_handler(self._on_job)

    def _on_job(self, old: Job | None, new: Job | None) -> None:
        if new is not None and new.spec.ttl_seconds_after_finished is not None and finished(new):
            self.queue.add(key_of(new))

    async def reconcile(self, key: str) -> After | None:
        """Delete the job, or come back when its time is over."""
        job = self._jobs.objects.get(key)
        end = finished(job) if job else None
        if job is None or end is None or not end.last_transition_time:
            return None
        seconds = job.spec.ttl_seconds_after_finished
        if seconds is None or job.metadata.deletion_timestamp is not None:
            return None
        left = parse(end.last_transition_time) + seconds - self.clock()
        if left > 0:
            return After(left)
        meta = job.metadata
        try:
            await self.client.delete(Job, meta.name, meta.namespace, uid=meta.uid)
        except NotFound:
            return None
        return None
