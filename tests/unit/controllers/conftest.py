"""A whole control plane in one event loop: the real store and API, and kubelets that only pretend.

Time is real time plus what a test adds with `advance`; nothing sleeps, everything waits for events.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from engine.api.direct import DirectTransport
from engine.api.handler import Api
from engine.client.client import Client
from engine.client.informer import key_of
from engine.controllers.runtime import SharedInformers
from engine.controllers.start import controllers
from engine.scheduler.scheduler import Scheduler
from engine.store.store import Store
from engine.types.apps import Deployment, ReplicaSet
from engine.types.batch import Job
from engine.types.clock import format, now_micro
from engine.types.coordination import Lease, LeaseSpec
from engine.types.core import Event, Namespace, Service, ServiceAccount
from engine.types.meta import ObjectMeta
from engine.types.nodes import Node, NodeCondition, NodeSpec, NodeStatus
from engine.types.pods import Pod
from engine.types.status import NotFound

PATIENCE = 20.0
OUTCOME = "test/outcome"


class World:
    """One cluster, and the means to look at it and to push it."""

    def __init__(self) -> None:
        self.offset = 0.0
        self.silent: set[str] = set()
        self.unready: set[str] = set()
        self.most_pods = 0
        self.store = Store()
        self.api = Api(self.store, clock=self.clock)
        self.client = Client(DirectTransport(self.api))
        self.informers = SharedInformers(self.client)
        self.scheduler = Scheduler(
            self.client, self.informers.of(Pod), self.informers.of(Node), clock=self.clock
        )
        self.controllers = controllers(self.client, self.informers, self.clock)
        self._changed = asyncio.Event()
        self._kubelet: asyncio.Queue[Pod] = asyncio.Queue()
        for cls in (
            Pod,
            Node,
            Lease,
            Deployment,
            ReplicaSet,
            Job,
            Namespace,
            ServiceAccount,
            Service,
            Event,
        ):
            self.informers.of(cls).add_handler(lambda old, new: self._changed.set())
        self.informers.of(Pod).add_handler(self._on_pod)

    def clock(self) -> float:
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        """Time passes: whoever waited for it looks again."""
        self.offset += seconds
        for controller in self.controllers:
            for key in list(controller.queue._timers):
                controller.queue.add(key)

    def all(self, cls: type) -> list:
        return list(self.informers.of(cls).objects.values())

    def pods(self, **labels: str) -> list[Pod]:
        return [p for p in self.all(Pod) if labels.items() <= p.metadata.labels.items()]

    def get(self, cls: type, name: str):
        return self.informers.of(cls).objects.get(name)

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until a predicate over the informers holds; fails when it never does."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError("never came true") from None

    async def node(self, name: str, cpu: str = "4", memory: str = "8Gi", **fields) -> None:
        status = NodeStatus(
            capacity={"cpu": cpu, "memory": memory, "pods": "110"},
            conditions=[NodeCondition(type="Ready", status="True")],
        )
        meta = ObjectMeta(name=name, labels={"kubernetes.io/hostname": name})
        node = Node(metadata=meta, spec=NodeSpec(**fields), status=status)
        made = await self.client.create(node)
        made.status.capacity = status.capacity
        made.status.allocatable = status.capacity
        made.status.conditions = status.conditions
        await self.client.update_status(made)
        await self.until(lambda: (seen := self.get(Node, name)) and seen.status.conditions)

    async def create(self, obj) -> None:
        """Create an object and wait until everybody sees it."""
        made = await self.client.create(obj)
        await self.until(lambda: key_of(made) in self.informers.of(type(obj)).objects)

    async def pass_time(self, seconds: float, *, alive: tuple[str, ...] = ()) -> None:
        """Time passes while some nodes go on giving signs of life."""
        while seconds > 0:
            self.offset += min(seconds, 10)
            seconds -= 10
            for name in alive:
                await self.heartbeat(name)
            self.advance(0)
            await self.worked()

    async def worked(self) -> None:
        """Wait until no controller has anything to do now."""
        while not all(each.queue.idle for each in self.controllers):  # noqa: ASYNC110  no event
            await asyncio.sleep(0)

    async def heartbeat(self, name: str) -> None:
        """A node says that it lives, and everybody hears it."""
        spec = LeaseSpec(holder_identity=name, renew_time=now_micro(self.clock))
        lease = Lease(metadata=ObjectMeta(name=name, namespace="kube-node-lease"), spec=spec)
        try:
            await self.client.patch(
                Lease, name, "kube-node-lease", {"spec": {"renewTime": spec.renew_time}}
            )
        except NotFound:
            await self.client.create(lease)
        key = f"kube-node-lease/{name}"
        await self.until(
            lambda: (seen := self.get(Lease, key)) and seen.spec.renew_time == spec.renew_time
        )

    def _on_pod(self, old: Pod | None, new: Pod | None) -> None:
        self.most_pods = max(self.most_pods, len(self.all(Pod)))
        if new is not None and new.spec.node_name and new.spec.node_name not in self.silent:
            self._kubelet.put_nowait(new)

    async def kubelet(self) -> None:
        while True:
            pod = await self._kubelet.get()
            meta = pod.metadata
            try:
                if meta.deletion_timestamp is not None:
                    await self.client.delete(
                        Pod, meta.name, meta.namespace, grace_period=0, uid=meta.uid
                    )
                elif pod.status.phase == "Pending":
                    await self.run_pod(pod)
            except NotFound:
                continue

    async def run_pod(self, pod: Pod) -> None:
        phase = pod.metadata.annotations.get(OUTCOME, "Running")
        image = pod.spec.containers[0].image
        ready = phase == "Running" and image not in self.unready
        condition = {
            "type": "Ready",
            "status": "True" if ready else "False",
            "lastTransitionTime": format(self.clock()),
        }
        patch = {"status": {"phase": phase, "conditions": [condition]}}
        meta = pod.metadata
        await self.client.patch(Pod, meta.name, meta.namespace, patch, subresource="status")

    def events(self, reason: str) -> list[str]:
        return [e.message for e in self.all(Event) if e.reason == reason]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.api.bootstrap()
    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        tasks = [
            group.create_task(work)
            for work in (
                world.informers.run(),
                world.scheduler.run(),
                world.kubelet(),
                *(controller.run() for controller in world.controllers),
            )
        ]
        await world.informers.synced()
        yield world
        for task in tasks:
            task.cancel()
    await world.api.close()
