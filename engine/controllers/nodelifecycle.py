"""Node lifecycle: a node not heard of for 40 seconds is unknown, and its state becomes taints.

A heartbeat is a change of the node's lease or of its Ready condition, timed by this process when it
sees it: clocks of other machines are never compared. A silent node is looked at twice, more than a
heartbeat apart, before it is called unknown: when this process itself has slept (a stopped engine,
a closed laptop), every node seems silent, and each gets the time to speak. Conditions become
taints, so that scheduling and eviction look at one thing only.
"""

import time

from engine.client.client import Client
from engine.controllers.podstate import condition, is_finished
from engine.controllers.runtime import After, Controller, SharedInformers
from engine.types.clock import Clock, format
from engine.types.codec import clone, to_dict
from engine.types.coordination import Lease
from engine.types.nodes import Node, NodeCondition, Taint
from engine.types.pods import Pod
from engine.types.status import NotFound

SILENT_AFTER = 40.0
SECOND_LOOK = 11.0
"""Seconds between the two looks; kubelets renew their lease every ten."""
LEASES = "kube-node-lease"
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
PRESSURE = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
OWN_TAINTS = {NOT_READY, UNREACHABLE, UNSCHEDULABLE, *PRESSURE.values()}
REPORTED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
BY_NODE = "node"
"""Name of the index of pods by their node."""


def pods_by_node(pod: Pod) -> list[str]:
    """The key of a pod in the index by node."""
    return [pod.spec.node_name] if pod.spec.node_name else []


def ready_status(node: Node) -> str:
    """True, False or Unknown; empty for a node that has never said."""
    return next((c.status for c in node.status.conditions if c.type == "Ready"), "")


def unknown_conditions(node: Node, now: float) -> list[NodeCondition]:
    """The node's conditions when nobody hears of it: what its kubelet reports is Unknown."""
    conditions = [clone(c) for c in node.status.conditions]
    for type_ in REPORTED:
        known = next((c for c in conditions if c.type == type_), None)
        if known is None:
            known = NodeCondition(type=type_, reason="NodeStatusNeverUpdated")
            known.message = "Kubelet never posted node status."
            conditions.append(known)
        elif known.status != "Unknown":
            known.reason = "NodeStatusUnknown"
            known.message = "Kubelet stopped posting node status."
        if known.status != "Unknown":
            known.status = "Unknown"
            known.last_transition_time = format(now)
    return conditions


def wanted_taints(node: Node, now: float) -> list[Taint]:
    """The taints the node should have: those of others as they are, and one per bad condition."""
    wanted: list[tuple[str, str]] = []
    health = {"False": NOT_READY, "Unknown": UNREACHABLE}.get(ready_status(node))
    if health:
        wanted += [(health, "NoSchedule"), (health, "NoExecute")]
    for condition_ in node.status.conditions:
        if condition_.status == "True" and condition_.type in PRESSURE:
            wanted.append((PRESSURE[condition_.type], "NoSchedule"))
    if node.spec.unschedulable:
        wanted.append((UNSCHEDULABLE, "NoSchedule"))
    taints = [t for t in node.spec.taints if t.key not in OWN_TAINTS or (t.key, t.effect) in wanted]
    present = {(t.key, t.effect) for t in taints}
    for key, effect in wanted:
        if (key, effect) not in present:
            taints.append(Taint(key=key, effect=effect, time_added=format(now)))
    return taints


class NodeLifecycleController(Controller):
    """Watches leases; writes conditions and taints of nodes, and the readiness of their pods."""

    name = "node-controller"

    def __init__(
        self, client: Client, informers: SharedInformers, clock: Clock = time.time
    ) -> None:
        super().__init__(client, informers, clock)
        self._nodes = informers.of(Node)
        self._pods = informers.of(Pod)
        self._pods.add_index(BY_NODE, pods_by_node)
        self._heard: dict[str, float] = {}
        self._suspected: dict[str, float] = {}
        self._nodes.add_handler(self._on_node)
        informers.of(Lease).add_handler(self._on_lease)

    def _on_lease(self, old: Lease | None, new: Lease | None) -> None:
        if new is None or new.metadata.namespace != LEASES:
            return
        if old is None or old.spec.renew_time != new.spec.renew_time:
            self._heard[new.metadata.name] = self.clock()

    def _on_node(self, old: Node | None, new: Node | None) -> None:
        if new is None:
            if old is not None:
                self._heard.pop(old.metadata.name, None)
                self._suspected.pop(old.metadata.name, None)
                self._say(old, "RemovingNode", "Removing Node {} from Controller")
            return
        if old is None:
            self._say(new, "RegisteredNode", "Registered Node {} in Controller")
        if old is None or _heartbeat(old) != _heartbeat(new):
            self._heard[new.metadata.name] = self.clock()
        if (
            old is None
            or old.spec != new.spec
            or [(c.type, c.status) for c in old.status.conditions]
            != [(c.type, c.status) for c in new.status.conditions]
        ):
            self.queue.add(new.metadata.name)

    def _say(self, node: Node, reason: str, text: str) -> None:
        name = node.metadata.name
        self.events.record(node, "Normal", reason, f"Node {name} event: {text.format(name)}")

    async def reconcile(self, key: str) -> After | None:
        """Judge one node; come back when its silence would be too long."""
        node = self._nodes.objects.get(key)
        if node is None:
            return None
        now = self.clock()
        left = self._patience(key, now)
        if left <= 0 and ready_status(node) != "Unknown":
            node = await self._mark_unknown(node, now)
        await self._taint(node, now)
        if ready_status(node) in ("False", "Unknown"):
            await self._mark_pods(key, now)
        return After(left if left > 0 else SILENT_AFTER)

    def _patience(self, name: str, now: float) -> float:
        """Seconds until the node must be looked at again; 0 when it is to be called unknown."""
        heard = self._heard.setdefault(name, now)
        suspect_at = heard + SILENT_AFTER - SECOND_LOOK
        if now < suspect_at:
            self._suspected.pop(name, None)
            return suspect_at - now
        suspected = self._suspected.setdefault(name, now)
        if suspected < suspect_at:
            # Suspected before, and heard of since.
            suspected = self._suspected[name] = now
        return max(heard + SILENT_AFTER, suspected + SECOND_LOOK) - now

    async def _mark_unknown(self, node: Node, now: float) -> Node:
        name = node.metadata.name
        self.events.record(
            node, "Normal", "NodeNotReady", f"Node {name} status is now: NodeNotReady"
        )
        conditions = [to_dict(c) for c in unknown_conditions(node, now)]
        # Only over the state that was looked at: the node may be reporting at this moment.
        patch = {
            "metadata": {"resourceVersion": node.metadata.resource_version},
            "status": {"conditions": conditions},
        }
        return await self.client.patch(Node, name, None, patch, subresource="status")

    async def _taint(self, node: Node, now: float) -> None:
        taints = wanted_taints(node, now)
        if taints == node.spec.taints:
            return
        patch = {
            "metadata": {"resourceVersion": node.metadata.resource_version},
            "spec": {"taints": [to_dict(t) for t in taints]},
        }
        await self.client.patch(Node, node.metadata.name, None, patch)

    async def _mark_pods(self, node: str, now: float) -> None:
        """Nobody vouches for the pods of a silent node, so they are not ready either."""
        for pod in self._pods.by_index(BY_NODE, node):
            ready = condition(pod, "Ready")
            if ready is None or ready.status != "True" or is_finished(pod):
                continue
            conditions = [to_dict(c) for c in pod.status.conditions]
            for each in conditions:
                if each["type"] == "Ready":
                    each |= {"status": "False", "lastTransitionTime": format(now)}
            meta = pod.metadata
            patch = {
                "metadata": {"resourceVersion": meta.resource_version},
                "status": {"conditions": conditions},
            }
            self.events.record(pod, "Warning", "NodeNotReady", "Node is not ready")
            try:
                await self.client.patch(Pod, meta.name, meta.namespace, patch, subresource="status")
            except NotFound:
                continue


def _heartbeat(node: Node) -> str | None:
    ready = (c.last_heartbeat_time for c in node.status.conditions if c.type == "Ready")
    return next(ready, None)
