"""The scheduler as the API sees it: watches pods and nodes, decides, binds.

It learns everything from two informers and writes only bindings, conditions and events. A pod is
*assumed* on its node from the decision until the binding is seen in the watch or has failed, so the
next decision never counts on what is already given away; bindings go out many at a time.
Importing this module imports numpy.
"""

import asyncio
import logging
import time

from engine.client.client import Client
from engine.client.errors import Unreachable
from engine.client.events import EventRecorder
from engine.client.informer import Informer
from engine.scheduler.columns import Columns
from engine.scheduler.cycle import Cycle
from engine.scheduler.decision import Decision, Decisions
from engine.scheduler.event import Change, Event
from engine.scheduler.node import NodeInfo
from engine.scheduler.plugins.default import default_plugins
from engine.scheduler.pod import PodInfo
from engine.scheduler.queue import SchedulingQueue, Waiting
from engine.types.clock import Clock, format
from engine.types.codec import to_dict
from engine.types.nodes import Node
from engine.types.pods import Pod, PodCondition
from engine.types.status import Conflict, NotFound, StatusError

log = logging.getLogger(__name__)

NAME = "default-scheduler"
BINDINGS_AT_ONCE = 128
CYCLES_PER_TURN = 32
"""Cycles without giving the event loop a turn: a few milliseconds at most."""


class Scheduler:
    """Places every pod that names this scheduler and has no node yet."""

    def __init__(
        self,
        client: Client,
        pods: Informer[Pod],
        nodes: Informer[Node],
        *,
        clock: Clock = time.time,
        seed: int = 0,
        name: str = NAME,
    ) -> None:
        plugins = default_plugins()
        self.name = name
        self.columns = Columns()
        self.decisions = Decisions()
        self.queue = SchedulingQueue(plugins)
        self._cycle = Cycle(self.columns, plugins, seed=seed)
        self._client = client
        self._pods = pods
        self._nodes = nodes
        self._clock = clock
        self._events = EventRecorder(client, name)
        self._assumed: set[str] = set()
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(BINDINGS_AT_ONCE)
        pods.add_handler(self._on_pod)
        nodes.add_handler(self._on_node)

    async def run(self) -> None:
        """Schedule until cancelled. The informers are run by whoever made them."""
        await self._nodes.synced.wait()
        await self._pods.synced.wait()
        try:
            async with asyncio.TaskGroup() as writes:
                while True:
                    await self._turn(writes)
        finally:
            await self._events.close()

    async def _turn(self, writes: asyncio.TaskGroup) -> None:
        """Decide for a few pods, then let others run; or sleep when no pod can be tried."""
        for _ in range(CYCLES_PER_TURN):
            waiting = self.queue.pop(self._clock())
            if waiting is None:
                await self._rest()
                return
            self._schedule(waiting, writes)
        await asyncio.sleep(0)

    async def _rest(self) -> None:
        """Sleep until a pod or node changes, or a backoff ends."""
        wake_at = self.queue.wake_at()
        self._wake.clear()
        try:
            async with asyncio.timeout(None if wake_at is None else wake_at - self._clock()):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _schedule(self, waiting: Waiting, writes: asyncio.TaskGroup) -> None:
        pod, now = waiting.pod, self._clock()
        try:
            decision = self._cycle.decide(pod, at=now)
        except Exception:
            # A fault about one pod must not stop the placing of all others.
            log.exception("scheduling %s", pod.key)
            self.queue.retry(waiting, now)
            return
        self.decisions.add(decision)
        if decision.node:
            self.columns.place(pod, decision.node)
            self._assumed.add(pod.uid)
            writes.create_task(self._bind(waiting, decision.node))
        else:
            self.queue.reject(waiting, decision.rejecting_plugins(), now)
            writes.create_task(self._report_unschedulable(pod, decision))

    # -- what is written ------------------------------------------------------------------------

    async def _bind(self, waiting: Waiting, node: str) -> None:
        pod = waiting.pod
        try:
            async with self._slots:
                await self._client.bind(pod.namespace, pod.name, node)
        except (StatusError, Unreachable) as error:
            self._forget(waiting, error)
            return
        seen = self._pods.objects.get(pod.key)
        if seen is not None:
            text = f"Successfully assigned {pod.key} to {node}"
            self._events.record(seen, "Normal", "Scheduled", text)

    def _forget(self, waiting: Waiting, error: Exception) -> None:
        """The binding failed: free what was assumed, and retry unless the pod is gone or bound."""
        pod = waiting.pod
        if pod.uid not in self._assumed:
            return
        self._assumed.discard(pod.uid)
        self.columns.displace(pod.uid)
        seen = self._pods.objects.get(pod.key)
        if seen is None or isinstance(error, NotFound) or not self._is_mine(seen):
            return
        if isinstance(error, Conflict) and seen.metadata.deletion_timestamp:
            return
        self._events.record(seen, "Warning", "FailedScheduling", f"binding rejected: {error}")
        self.queue.retry(waiting, self._clock())
        self._wake.set()

    async def _report_unschedulable(self, pod: PodInfo, decision: Decision) -> None:
        seen = self._pods.objects.get(pod.key)
        if seen is None or seen.metadata.uid != pod.uid:
            return
        message = decision.message()
        self._events.record(seen, "Warning", "FailedScheduling", message)
        old = next((c for c in seen.status.conditions if c.type == "PodScheduled"), None)
        if old is not None and (old.status, old.message) == ("False", message):
            return
        since = old.last_transition_time if old and old.status == "False" else None
        condition = PodCondition(
            type="PodScheduled",
            status="False",
            reason="Unschedulable",
            message=message,
            last_transition_time=since or format(self._clock()),
        )
        others = [c for c in seen.status.conditions if c.type != "PodScheduled"]
        # Only over the state that was looked at: by now the pod may have been bound.
        patch = {
            "metadata": {"resourceVersion": seen.metadata.resource_version},
            "status": {"conditions": [to_dict(c) for c in (*others, condition)]},
        }
        try:
            await self._client.patch(Pod, pod.name, pod.namespace, patch, subresource="status")
        except (StatusError, Unreachable):
            # The pod went or changed, or the server is away: the next cycle says it again.
            return

    # -- what is seen ---------------------------------------------------------------------------

    def _on_pod(self, old: Pod | None, new: Pod | None) -> None:
        if new is None:
            if old is not None:
                self._gone(old)
            return
        if new.status.phase in ("Succeeded", "Failed"):
            self._gone(new)
        elif new.spec.node_name:
            self._placed(old, new)
        elif self._is_mine(new) and (old is None or _wishes_differ(old, new)):
            self.queue.put(PodInfo.of(new), self._clock())
            self._wake.set()
        elif not self._is_mine(new):
            self.queue.drop(new.metadata.uid)

    def _is_mine(self, pod: Pod) -> bool:
        return (
            not pod.spec.node_name
            and pod.spec.scheduler_name in ("", self.name)
            and pod.metadata.deletion_timestamp is None
            and not pod.spec.scheduling_gates
            and pod.metadata.uid not in self._assumed
        )

    def _placed(self, old: Pod | None, new: Pod) -> None:
        uid = new.metadata.uid
        self._assumed.discard(uid)
        known = self.columns.placed.get(uid)
        moved = known is None or known[1] != new.spec.node_name
        if not moved and old is not None and not _wishes_differ(old, new):
            return
        info = PodInfo.of(new)
        self.queue.drop(uid)
        self.columns.place(info, new.spec.node_name)
        change = Change.POD_PLACED if moved else Change.POD_LABELS
        self._tell(Event(change, new.spec.node_name, info))

    def _gone(self, pod: Pod) -> None:
        uid = pod.metadata.uid
        self.queue.drop(uid)
        self._assumed.discard(uid)
        entry = self.columns.displace(uid)
        if entry is not None:
            self._tell(Event(Change.POD_GONE, entry[1], entry[0]))

    def _on_node(self, old: Node | None, new: Node | None) -> None:
        if new is None:
            if old is not None:
                self.columns.remove_node(old.metadata.name)
                self._tell(Event(Change.NODE_GONE, old.metadata.name))
        elif old is None or _declarations_differ(old, new):
            change = self.columns.set_node(NodeInfo.of(new))
            if change:
                self._tell(Event(change, new.metadata.name))

    def _tell(self, event: Event) -> None:
        if self.queue.move(event, self._clock()):
            self._wake.set()


def _wishes_differ(old: Pod, new: Pod) -> bool:
    before, after = old.metadata, new.metadata
    return (
        old.spec != new.spec
        or before.labels != after.labels
        or before.deletion_timestamp != after.deletion_timestamp
    )


def _declarations_differ(old: Node, new: Node) -> bool:
    return (
        old.spec != new.spec
        or old.metadata.labels != new.metadata.labels
        or old.status.allocatable != new.status.allocatable
    )
