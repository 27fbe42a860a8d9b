"""One node's agent: it registers the node, runs the pods that are bound to it, and reports.

Pods come from the API, facts from the node's keeper; a worker per pod brings the two together. A
new kubelet first takes over what an earlier one left running: known pods are adopted with the same
processes, everything else on the node is killed and cleaned away. If the keeper dies, a new one
goes on with its containers; those that are lost are recorded as such and started again.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from ipaddress import IPv4Network

from engine.client.client import Client
from engine.client.events import EventRecorder
from engine.client.informer import Informer
from engine.home import NodePaths
from engine.images.store import ImageStore
from engine.kubelet import admission, folders, memory, qos
from engine.kubelet.node import LocalNode, NodeConfig
from engine.kubelet.pulls import ImagePuller
from engine.kubelet.registration import Registration
from engine.kubelet.sampler import NodeSampler, Target, links_of
from engine.kubelet.sources import Sources
from engine.kubelet.starter import ATTEMPT, NAME, UID
from engine.kubelet.worker import PodWorker
from engine.network.ipam import PodPool
from engine.runtime.cgroup.api import Hierarchy
from engine.runtime.features import CONTROLLERS
from engine.runtime.runtime import ContainerState, Origin, Runtime, RuntimeFailure
from engine.types import quantity
from engine.types.core import ObjectReference
from engine.types.pods import Pod
from engine.types.stats import ContainerSample, NodeSample

COMPONENT = "kubelet"
RELAUNCH_S = 2.0
AFTER_DEFECT_S = 5.0

_KEEPER_EVENTS = {
    Origin.FOUND: ("Warning", "KeeperOutdated"),
    Origin.RE_EXECUTED: ("Normal", "KeeperUpgraded"),
    Origin.ADOPTED: ("Warning", "KeeperAdopted"),
    Origin.REPLACED: ("Warning", "KeeperLost"),
}

log = logging.getLogger(__name__)


class Kubelet:
    """`puller` and `images` are shared with the engine's other nodes. `relaunch` gives a new
    runtime, with its network, for the one that has lost its keeper."""

    def __init__(
        self,
        client: Client,
        *,
        node: NodeConfig,
        runtime: Runtime,
        images: ImageStore,
        paths: NodePaths,
        hierarchy: Hierarchy,
        puller: ImagePuller | None = None,
        relaunch: Callable[[Runtime], Awaitable[Runtime]] | None = None,
    ) -> None:
        self.name = node.name
        self.ready = asyncio.Event()
        """Set when the node is registered and all that ran before is adopted."""
        self._relaunch = relaunch or partial(Runtime.launch, paths, node.name)
        self.node = LocalNode(
            config=node,
            client=client,
            runtime=runtime,
            images=images,
            puller=puller or ImagePuller(images, paths.cluster.home),
            paths=paths,
            hierarchy=hierarchy,
            events=EventRecorder(client, COMPONENT, host=node.name),
            pool=PodPool(IPv4Network(node.pod_cidr)),
            sources=Sources(client, self._sources_changed),
        )
        self._registration = Registration(client, self.node)
        self._pods = Informer(client, Pod, fields=f"spec.nodeName={node.name}")
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._sampler: NodeSampler | None = None
        self._pressure = memory.Pressure(node.memory)
        self._kills = memory.Kills()

    async def run(self) -> None:
        """Be the node until cancelled. Containers live on."""
        config = self.node.config
        for folder in (self.node.paths.pods, self.node.paths.logs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._limit_node()
        await self._registration.register()
        self._tell_what_is_not_limited()
        self._tell_of_the_keeper()
        informing = asyncio.create_task(self._pods.run())
        try:
            await self._pods.synced.wait()
            await self._adopt()
            self._pods.add_handler(self._pod_changed)
            for uid in set(self._workers) - {p.metadata.uid for p in self._pods.objects.values()}:
                self._workers[uid].update(None)  # it went while we adopted
            self.ready.set()
            async with asyncio.TaskGroup() as parts:
                parts.create_task(self._registration.keep(), name=f"{config.name} status")
                parts.create_task(self._registration.beat(), name=f"{config.name} lease")
                parts.create_task(self._follow_runtime(), name=f"{config.name} exits")
        finally:
            informing.cancel()
            await self._close(informing)

    async def _close(self, informing: asyncio.Task[None]) -> None:
        tasks = [informing, *self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.node.sources.close()
        await self.node.events.close()
        self._close_sampler()

    def _limit_node(self) -> None:
        """A local node is as small as it says: its cgroup has the limits of its capacity."""
        node = self.node
        node.hierarchy.create(node.paths.cgroup)
        limits = qos.node_resources(node.config.cpu, node.config.memory)
        node.hierarchy.limit(node.paths.cgroup, limits)

    def _tell_what_is_not_limited(self) -> None:
        node, given = self.node, self.node.hierarchy.controllers
        lacking = [name.decode() for name in CONTROLLERS if name not in given]
        if lacking:
            text = f"No cgroups of this user can limit {', '.join(lacking)}"
            if node.hierarchy.keeps_memory:
                text += "; a container beyond its memory limit is ended within a second or two"
            self._tell("Warning", "LimitsNotKept", text)

    def _tell_of_the_keeper(self) -> None:
        """What became of an earlier one, and of its containers."""
        beginning = self.node.runtime.beginning
        if beginning.text:
            log.warning("node %s: %s", self.name, beginning.text)
            type, reason = _KEEPER_EVENTS[beginning.origin]
            self._tell(type, reason, beginning.text)

    def _tell(self, type: str, reason: str, text: str) -> None:
        """An event of the node itself."""
        about = ObjectReference(api_version="v1", kind="Node", name=self.name, uid=self.name)
        self.node.events.record(about, type, reason, text)

    # Pods

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        pod = new or old
        assert pod is not None
        worker = self._workers.get(pod.metadata.uid)
        if worker is not None:
            worker.update(new)
        elif new is not None:
            worker = PodWorker(self.node, new)
            others = [other.pod for other in self._workers.values() if other.counts]
            refused = admission.rejection(new, others, self.node.config.room)
            if refused is None and self._pressure.lasts(time.time()):
                refused = memory.rejection(new)
            if refused is not None and worker.counts:
                worker.reject(*refused)
            self._begin(worker)

    def _begin(self, worker: PodWorker) -> None:
        self._workers[worker.uid] = worker
        self._tasks[worker.uid] = asyncio.create_task(self._work(worker), name=worker.name)

    async def _work(self, worker: PodWorker) -> None:
        """Let the worker work until its pod is gone: a defect may delay it, not lose a pod."""
        try:
            while not worker.done.is_set():
                try:
                    await worker.run()
                except ExceptionGroup as defect:
                    log.error("pod %s: %s", worker.name, defect, exc_info=defect)
                    await asyncio.sleep(AFTER_DEFECT_S)
        finally:
            await worker.close()
            del self._workers[worker.uid], self._tasks[worker.uid]

    def _sources_changed(self, uid: str) -> None:
        if worker := self._workers.get(uid):
            worker.sources_changed()

    def images_changed(self) -> None:
        """The image store has other images than before."""
        self._registration.wake()
        for worker in self._workers.values():
            worker.images_changed()

    # What was there before

    async def _adopt(self) -> None:
        """Take over the sandboxes and containers of known pods; end all others."""
        pods = {pod.metadata.uid: pod for pod in self._pods.objects.values()}
        lives: dict[str, list[ContainerState]] = defaultdict(list)
        for state in await self.node.runtime.containers():
            lives[state.labels.get(UID, "")].append(state)
            if state.running and self.node.hierarchy.is_frozen(state.cgroup):
                # The engine before us ended in the middle of a commit.
                self.node.hierarchy.freeze(state.cgroup, False)
        if lives:
            await asyncio.to_thread(self.node.images.adopt, self.node.runtime.keeper_pid)
        sandboxes = {state.id: state for state in await self.node.runtime.sandboxes()}
        for uid, pod in pods.items():
            worker = PodWorker(self.node, pod)
            if uid in sandboxes:
                worker.ground.adopt(sandboxes[uid])
            for state in lives[uid]:
                worker.adopt(state.labels[NAME], int(state.labels[ATTEMPT]), state)
            self._begin(worker)
        for uid in (set(lives) | set(sandboxes)) - set(pods):
            for state in lives[uid]:
                # Its exit, which comes even if it has ended already, leads to its burial.
                await self.node.runtime.kill(state.id)
            if not lives[uid]:
                await self._bury(uid)
        strays = folders.uids(self.node.paths) - set(pods) - set(lives)
        for uid in strays:
            await asyncio.to_thread(folders.remove_files, self.node.paths, uid)

    async def _bury(self, uid: str, id: str = "") -> None:
        """Remove a container of a pod that nobody knows, and with its last one all of the pod."""
        runtime = self.node.runtime
        if id:
            await runtime.remove(id)
        if all(state.sandbox != uid for state in await runtime.containers()):
            await runtime.remove_sandbox(uid)
            self.node.hierarchy.remove(self.node.pod_cgroup(uid))
            await asyncio.to_thread(folders.remove_files, self.node.paths, uid)

    # The runtime

    async def _follow_runtime(self) -> None:
        while True:
            async for state in self.node.runtime.exits():
                uid = state.labels.get(UID, state.sandbox)
                if worker := self._workers.get(uid):
                    worker.exited(state.labels.get(NAME, ""), state)
                else:
                    await self._bury_if_possible(uid, state.id)
            await self._replace_runtime()

    async def _bury_if_possible(self, uid: str, id: str) -> None:
        try:
            await self._bury(uid, id)
        except (RuntimeFailure, OSError) as error:
            log.warning("leftovers of pod %s: %s", uid, error)

    async def _replace_runtime(self) -> None:
        """The keeper has died: get another one, and note what was lost."""
        log.error("node %s: its keeper has died", self.name)
        self._close_sampler()
        self._registration.runtime_down()
        while True:
            try:
                runtime = await self._relaunch(self.node.runtime)
                known = await runtime.containers()
                sandboxes = await runtime.sandboxes()
                break
            except (RuntimeFailure, OSError) as error:
                log.error("node %s: no new keeper: %s", self.name, error)
                await asyncio.sleep(RELAUNCH_S)
        self.node.replace(runtime)
        self._tell_of_the_keeper()
        self._limit_node()
        self._registration.runtime_up()
        standing, ids = {state.id for state in sandboxes}, {state.id for state in known}
        for worker in self._workers.values():
            worker.lose(ids, sandbox=worker.uid in standing)
        for state in known:
            await self._find_again(state)

    async def _find_again(self, state: ContainerState) -> None:
        """A container whose start, or whose removal, was done when the keeper died, which could
        not say so any more."""
        worker = self._workers.get(state.labels.get(UID, ""))
        if worker is None or worker.lives.holds(state.id):
            return
        if state.running:
            worker.adopt(state.labels[NAME], int(state.labels[ATTEMPT]), state)
            return
        try:
            await self.node.runtime.remove(state.id)
        except (RuntimeFailure, OSError) as error:
            log.warning("container %s: %s", state.id, error)

    # What others ask

    @property
    def pods(self) -> list[str]:
        """The uids of the pods that have something on the node."""
        return list(self._workers)

    def worker(self, uid: str) -> PodWorker | None:
        """The worker of a pod of this node."""
        return self._workers.get(uid)

    def look(self) -> tuple[NodeSample, dict[str, ContainerSample]]:
        """What the node and its containers use, with rates since the last look."""
        if self.node.runtime.lost.is_set():
            return NodeSample(), {}
        node = self.node
        targets = [target for worker in self._workers.values() for target in _targets(worker)]
        running = len({target.key.rpartition("/")[0] for target in targets})
        try:
            if self._sampler is None:
                links = links_of(node.runtime.netns_fd())
                self._sampler = NodeSampler(self.name, node.hierarchy, node.paths.cgroup, links)
            seen = self._sampler.look(targets, running)
            self._watch_memory(*seen, time.time())
            return seen
        except OSError as error:
            log.warning("statistics of node %s: %s", self.name, error)
            self._close_sampler()
            return NodeSample(pods=running), {}

    def _watch_memory(
        self, node: NodeSample, containers: dict[str, ContainerSample], now: float
    ) -> None:
        """Tell of what the kernel ended; end a pod before it has to."""
        by_name = {worker.name: worker for worker in self._workers.values()}
        for key, count in self._kills.new(containers).items():
            pod, _, container = key.rpartition("/")
            by_name[pod].killed_for_memory(container, count)
        low = self._pressure.saw(node.memory, now)
        self._registration.under_pressure(self._pressure.lasts(now))
        if not low or any(worker.evicted and worker.cgroup_used for worker in by_name.values()):
            return  # one at a time: what it leaves is seen first
        usages = [
            memory.Usage(
                worker.pod,
                {
                    name: containers[f"{worker.name}/{name}"].memory
                    for name in worker.lives.records
                    if f"{worker.name}/{name}" in containers
                },
            )
            for worker in by_name.values()
        ]
        chosen = memory.victim(usages)
        if chosen is not None:
            left = self._pressure.available(node.memory)
            text = memory.message(chosen, self._pressure.threshold, left)
            log.warning("node %s: %s is evicted: %s", self.name, chosen.pod.metadata.name, text)
            self._workers[chosen.pod.metadata.uid].evict(text)

    def _close_sampler(self) -> None:
        if self._sampler is not None:
            self._sampler.close()
            self._sampler = None


def _targets(worker: PodWorker) -> Iterator[Target]:
    cgroup = worker.cgroup
    for name, record in worker.lives.records.items():
        container = worker.container(name)
        if record.life is not None and record.running and container is not None:
            limit = container.resources.limits.get("cpu")
            yield Target(
                key=f"{worker.name}/{name}",
                cgroup=cgroup + b"/" + record.life.id.encode(),
                cpu_limit=None if limit is None else quantity.cores(limit),
                link=worker.ground.link,
            )
