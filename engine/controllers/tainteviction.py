"""Taint eviction: NoExecute taints drive out the pods that do not tolerate them, in time.

A pod that tolerates a taint for so many seconds goes that long after the taint was put; one that
tolerates it without a limit stays.
"""

import time
from collections.abc import Sequence

from engine.client.client import Client
from engine.client.informer import key_of
from engine.controllers.nodelifecycle import BY_NODE, pods_by_node
from engine.controllers.podstate import is_finished
from engine.controllers.runtime import After, Controller, SharedInformers
from engine.types.clock import Clock, format, parse
from engine.types.codec import to_dict
from engine.types.nodes import Node, Taint
from engine.types.pods import Pod, PodCondition
from engine.types.status import NotFound
from engine.types.toleration import tolerates


def evict_at(pod: Pod, taints: Sequence[Taint], now: float) -> float | None:
    """When the pod must go, unix seconds; None when it may stay for ever."""
    times = [_leaves_at(pod, taint, now) for taint in taints if taint.effect == "NoExecute"]
    return min((at for at in times if at is not None), default=None)


def _leaves_at(pod: Pod, taint: Taint, now: float) -> float | None:
    matching = [t for t in pod.spec.tolerations if tolerates(t, taint)]
    if not matching:
        return now
    limits = [t.toleration_seconds for t in matching if t.toleration_seconds is not None]
    if not limits:
        return None
    put = parse(taint.time_added) if taint.time_added else now
    return put + max(min(limits), 0)


class TaintEvictionController(Controller):
    """Deletes the pods that a NoExecute taint drives out."""

    name = "taint-eviction-controller"

    def __init__(
        self, client: Client, informers: SharedInformers, clock: Clock = time.time
    ) -> None:
        super().__init__(client, informers, clock)
        self._nodes = informers.of(Node)
        self._pods = informers.of(Pod)
        self._pods.add_index(BY_NODE, pods_by_node)
        self._nodes.add_handler(self._on_node)
        self._pods.add_handler(self._on_pod)

    def _on_node(self, old: Node | None, new: Node | None) -> None:
        if new is None or (old is not None and old.spec.taints == new.spec.taints):
            return
        if any(taint.effect == "NoExecute" for taint in new.spec.taints):
            for pod in self._pods.by_index(BY_NODE, new.metadata.name):
                self.queue.add(key_of(pod))

    def _on_pod(self, old: Pod | None, new: Pod | None) -> None:
        if new is None or not new.spec.node_name:
            return
        if old is not None and old.spec == new.spec:
            return
        node = self._nodes.objects.get(new.spec.node_name)
        if node is None or any(taint.effect == "NoExecute" for taint in node.spec.taints):
            self.queue.add(key_of(new))

    async def reconcile(self, key: str) -> After | None:
        """Evict the pod, or come back when its time is over."""
        pod = self._pods.objects.get(key)
        if pod is None or pod.metadata.deletion_timestamp is not None or is_finished(pod):
            return None
        node = self._nodes.objects.get(pod.spec.node_name)
        if node is None:
            return None
        now = self.clock()
        at = evict_at(pod, node.spec.taints, now)
        if at is None:
            return None
        if at > now:
            return After(at - now)
        await self._evict(pod, now)
        return None

    async def _evict(self, pod: Pod, now: float) -> None:
        meta = pod.metadata
        text = f"Marking for deletion Pod {key_of(pod)}"
        self.events.record(pod, "Normal", "TaintManagerEviction", text)
        why = PodCondition(
            type="DisruptionTarget",
            status="True",
            reason="DeletionByTaintManager",
            message="Taint manager: deleting due to NoExecute taint",
            last_transition_time=format(now),
        )
        others = [c for c in pod.status.conditions if c.type != why.type]
        patch = {
            "metadata": {"resourceVersion": meta.resource_version},
            "status": {"conditions": [to_dict(c) for c in (*others, why)]},
        }
        try:
            await self.client.patch(Pod, meta.name, meta.namespace, patch, subresource="status")
            await self.client.delete(Pod, meta.name, meta.namespace, uid=meta.uid)
        except NotFound:
            return
