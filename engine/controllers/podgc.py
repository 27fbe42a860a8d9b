"""Pod garbage: pods whose node is gone, ended pods beyond a number, and ending pods without a node.

Nobody else would ever finish these: their kubelet does not exist. A node is gone when the server
says so after it was missing for 40 seconds, so that one that registers anew keeps its pods.
"""

import time

from engine.client.client import Client
from engine.client.informer import key_of
from engine.controllers.nodelifecycle import BY_NODE, pods_by_node
from engine.controllers.podstate import is_finished
from engine.controllers.runtime import After, Controller, SharedInformers
from engine.types.clock import Clock
from engine.types.nodes import Node
from engine.types.pods import Pod
from engine.types.status import NotFound

MISSING_FOR = 40.0
ENDED_KEPT = 12_500


class PodGarbageController(Controller):
    """Deletes, without grace, pods that no kubelet will delete."""

    name = "pod-garbage-collector"

    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        clock: Clock = time.time,
        *,
        ended_kept: int = ENDED_KEPT,
    ) -> None:
        super().__init__(client, informers, clock)
        self._ended_kept = ended_kept
        self._ended: set[str] = set()
        self._missing: dict[str, float] = {}
        self._nodes = informers.of(Node)
        self._pods = informers.of(Pod)
        self._pods.add_index(BY_NODE, pods_by_node)
        self._nodes.add_handler(self._on_node)
        self._pods.add_handler(self._on_pod)

    def _on_node(self, old: Node | None, new: Node | None) -> None:
        if new is not None:
            self._missing.pop(new.metadata.name, None)
        elif old is not None:
            self._missing[old.metadata.name] = self.clock()
            for pod in self._pods.by_index(BY_NODE, old.metadata.name):
                self.queue.add(key_of(pod))

    def _on_pod(self, old: Pod | None, new: Pod | None) -> None:
        if new is None:
            if old is not None:
                self._ended.discard(key_of(old))
                self._trim()
            return
        key = key_of(new)
        if is_finished(new):
            self._ended.add(key)
            self._trim()
        node = new.spec.node_name
        ending = new.metadata.deletion_timestamp is not None
        if (node and node not in self._nodes.objects) or (ending and not node):
            self.queue.add(key)

    def _trim(self) -> None:
        if len(self._ended) > self._ended_kept:
            self.queue.add(min(self._ended, key=self._created))

    def _created(self, key: str) -> str:
        pod = self._pods.objects.get(key)
        return (pod.metadata.creation_timestamp or "") if pod else ""

    async def reconcile(self, key: str) -> After | None:
        """Delete the pod if it is garbage."""
        pod = self._pods.objects.get(key)
        if pod is None:
            return None
        if is_finished(pod) and len(self._ended) > self._ended_kept:
            await self._delete(pod)
        elif not pod.spec.node_name:
            if pod.metadata.deletion_timestamp is not None:
                await self._delete(pod)
        elif pod.spec.node_name not in self._nodes.objects:
            return await self._without_node(pod)
        return None

    async def _without_node(self, pod: Pod) -> After | None:
        node, now = pod.spec.node_name, self.clock()
        left = self._missing.setdefault(node, now) + MISSING_FOR - now
        if left > 0:
            return After(left)
        try:
            await self.client.get(Node, node)
        except NotFound:
            await self._delete(pod)
        return None

    async def _delete(self, pod: Pod) -> None:
        meta = pod.metadata
        try:
            await self.client.delete(Pod, meta.name, meta.namespace, grace_period=0, uid=meta.uid)
        except NotFound:
            return
