"""Telling the API what became of a pod: one patch of its status for each change, never the same
twice.

Runs beside the pod's worker, so that a slow API does not delay a container. What is sent is always
the newest: changes that come while a patch is under way are sent together after it.
"""

import asyncio
import logging
import time

from engine.client.client import Client
from engine.client.errors import Unreachable
from engine.kubelet.status import Facts, merge_patch, pod_status
from engine.types import codec
from engine.types.pods import Pod
from engine.types.status import Conflict, NotFound, StatusError

RETRY_S = 1.0

log = logging.getLogger(__name__)


class Reporter:
    """`pod` is the newest that the API showed us.

    What differs from that is sent, so that a condition which another wrote while the node was
    silent is put right. A watch may show a pod as it was before our last patch: its revision tells.
    """

    def __init__(self, client: Client, facts: Facts, pod: Pod) -> None:
        self.pod = pod
        self._revision = _revision(pod)
        self._client = client
        self._facts = facts
        self._sent = codec.to_dict(pod.status)
        self._conditions = pod.status.conditions
        self._dirty = asyncio.Event()
        self._turn = asyncio.Lock()

    def saw(self, pod: Pod) -> None:
        """The API shows the pod like this now, or did a moment ago."""
        self.pod = pod
        if _revision(pod) > self._revision:
            self._sent = codec.to_dict(pod.status)
            self._conditions = pod.status.conditions
            self._dirty.set()

    def wake(self) -> None:
        """Something may have changed."""
        self._dirty.set()

    async def run(self) -> None:
        """Report each change until cancelled."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self.report()
            except (Unreachable, StatusError) as error:
                log.warning("status of pod %s: %s", self.pod.metadata.name, error)
                await asyncio.sleep(RETRY_S)
                self._dirty.set()

    async def report(self) -> None:
        """Send what changed. Raise Unreachable or StatusError; a pod that is gone is fine."""
        async with self._turn:
            meta = self.pod.metadata
            status = pod_status(self.pod, self._facts, self._conditions, time.time())
            wanted = codec.to_dict(status)
            patch = merge_patch(self._sent, wanted)
            if not patch:
                return
            # With the uid in it, a new pod of the same name can never be given the old one's
            # status.
            body = {"metadata": {"uid": meta.uid}, "status": patch}
            try:
                answer = await self._client.patch(
                    Pod, meta.name, meta.namespace, body, subresource="status"
                )
            except (NotFound, Conflict) as error:
                log.debug("status of pod %s: %s", meta.name, error)
                return
            self._revision = _revision(answer)
            self._sent, self._conditions = wanted, status.conditions


def _revision(pod: Pod) -> int:
    """Revisions are numbers that grow (KEP-5504); a pod that was never stored has none."""
    return int(pod.metadata.resource_version or 0)
