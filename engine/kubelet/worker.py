"""One pod on its node: a task that brings what runs to what should run, and tells the API.

Level-triggered: whatever woke it (a change of the pod, an exit, a probe's verdict, a timer),
`_sync` looks at everything and does what is missing. What takes long (hooks, grace periods, probes)
runs in tasks of its own that wake it again, so that a deletion is never kept waiting.
"""

import asyncio
import logging
import time
from collections.abc import Set
from dataclasses import replace
from functools import partial

from engine.client.errors import Unreachable
from engine.kubelet import decision, resizing
from engine.kubelet.etc import HostnameError
from engine.kubelet.folders import remove_files
from engine.kubelet.ground import Ground
from engine.kubelet.lives import Lives
from engine.kubelet.memory import EVICTED
from engine.kubelet.node import LocalNode
from engine.kubelet.podimages import PodImages
from engine.kubelet.qos import is_sidecar
from engine.kubelet.report import Reporter
from engine.kubelet.starter import NotStarted, PodGround
from engine.kubelet.status import TERMINAL, Facts, restored
from engine.kubelet.volumes import VolumeError
from engine.kubelet.waiting import Waiting
from engine.network.ipam import NoFreeAddress
from engine.runtime.runtime import ContainerState, RuntimeFailure
from engine.types import clock
from engine.types.containers import Container
from engine.types.pods import Pod
from engine.types.status import Conflict, NotFound, StatusError

log = logging.getLogger(__name__)

# A pod that vanished from the API without a word (a forced deletion) still gets a moment to end.
FORCED_GRACE_S = 1.0
RESIZE_RETRY_S = 10.0
_GROUND = ""


class PodWorker:
    """`done` is set when the pod is gone from this node, and from the API."""

    def __init__(self, node: LocalNode, pod: Pod) -> None:
        self._node = node
        self.pod = pod
        self.uid = pod.metadata.uid
        self.ground = Ground(node, pod)
        self.lives = Lives(node, self.ground.folders, self.wake)
        self._facts = Facts(
            node_ip=node.config.host_ip, started_at=time.time(), records=self.lives.records
        )
        self._reporter = Reporter(node.client, self._facts, pod)
        self._waiting = Waiting(node, pod.metadata.uid, self._say)
        self._images = PodImages(node, self._say, self.wake)
        self._standing: PodGround | None = None
        self._stale = True
        self._gone = self._cleared = False
        self.evicted = False
        self._woken = asyncio.Event()
        self.done = asyncio.Event()
        self._remember(pod)

    @property
    def name(self) -> str:
        return f"{self.pod.metadata.namespace}/{self.pod.metadata.name}"

    @property
    def cgroup(self) -> bytes:
        return self._node.pod_cgroup(self.uid)

    # What wakes it

    def wake(self) -> None:
        self._woken.set()
        self._reporter.wake()

    def update(self, pod: Pod | None) -> None:
        """The pod as the API has it now; None when it is gone from there."""
        if pod is None:
            self._gone = True
        else:
            old, new = self.pod.metadata, pod.metadata
            if (old.labels, old.annotations) != (new.labels, new.annotations):
                self._stale = True  # the downward API may show them
            if len(self.pod.spec.ephemeral_containers) != len(pod.spec.ephemeral_containers):
                self._stale = True  # a new one may read what was not needed before
            self.pod = pod
            self._reporter.saw(pod)
        self._woken.set()

    def sources_changed(self) -> None:
        """A config map or a secret of the pod changed."""
        self._stale = True
        self._waiting.look_again()
        self.wake()

    def images_changed(self) -> None:
        """An image came or went: one that was missing may be there."""
        self._waiting.look_again("ErrImage")
        self.wake()

    def exited(self, name: str, state: ContainerState) -> None:
        self.lives.exited(self.pod, self.container(name), state)

    def container(self, name: str) -> Container | None:
        return next((c for c in self._containers() if c.name == name), None)

    def _containers(self) -> list[Container]:
        spec = self.pod.spec
        return [*spec.init_containers, *spec.containers, *spec.ephemeral_containers]

    # Adoption

    def _remember(self, pod: Pod) -> None:
        """Take from the pod's status what an earlier engine knew."""
        status = pod.status
        if status.start_time:
            self._facts.started_at = clock.parse(status.start_time)
        every = [*status.init_container_statuses, *status.container_statuses]
        for known in (*every, *status.ephemeral_container_statuses):
            self.lives.records[known.name] = restored(known, time.time())
        if status.phase in TERMINAL:
            self._facts.terminal = True
            self._facts.pod_ip = status.pod_ip
            if status.phase == "Failed" and status.reason:
                self._facts.failure = (status.reason, status.message)

    def reject(self, reason: str, message: str) -> None:
        """The pod has no place here: it fails before anything of it is started."""
        self._facts.failure = (reason, message)
        self._event("Warning", reason, message)

    def evict(self, message: str) -> None:
        """The node needs what the pod has: it fails, and ends at once."""
        self.evicted = True
        self._facts.failure = (EVICTED, message)
        self._event("Warning", EVICTED, message)
        self.wake()

    @property
    def cgroup_used(self) -> bool:
        return any(record.running for record in self._facts.records.values())

    def killed_for_memory(self, name: str, count: int) -> None:
        """The kernel has ended processes of a container that goes on."""
        what = "a process" if count == 1 else f"{count} processes"
        text = f"Memory cgroup out of memory: the kernel ended {what} in container {name}"
        self._say(name, "Warning", "OOMKilling", text)

    @property
    def counts(self) -> bool:
        """Whether the pod takes room on the node."""
        return not (self._facts.terminal or self._facts.failure)

    def adopt(self, name: str, attempt: int, state: ContainerState) -> None:
        """Go on with a container that an earlier engine started."""
        container = self.container(name)
        if container is not None:
            self.lives.adopt(self.pod, container, state, attempt, self.ground.ip)

    def lose(self, known: Set[str], *, sandbox: bool) -> None:
        """The node's keeper died. Of the pod its containers of these ids are still `known`, and its
        `sandbox` perhaps; all else has ended."""
        if self.ground.sandbox and not sandbox:
            self.ground.lose()
            self._facts.sandbox = False
            self._standing, self._stale = None, True
        self.lives.lose(known)

    # The loop

    async def run(self) -> None:
        """Look after the pod until it is gone. After an error it may be run again."""
        async with asyncio.TaskGroup() as parts:
            reporting = parts.create_task(self._reporter.run())
            while not self.done.is_set():
                self._woken.clear()
                delay = await self._step()
                self._reporter.wake()
                if not self.done.is_set():
                    await self._rest(delay)
            reporting.cancel()

    async def _rest(self, delay: float | None) -> None:
        """Wait to be woken, at most `delay` seconds."""
        try:
            async with asyncio.timeout(delay):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def close(self) -> None:
        """Stop watching; the containers live on."""
        self._images.close()
        await self.lives.ahead.close()
        await self.lives.close()

    async def _step(self) -> float | None:
        """One look at everything; seconds until the next one, or None to wait to be woken."""
        try:
            return await self._sync()
        except (Unreachable, StatusError, RuntimeFailure, OSError) as error:
            log.warning("pod %s: %s", self.name, error)
            return self._waiting.failed(_GROUND, NotStarted("", str(error)), time.time())

    async def _sync(self) -> float | None:
        pod, facts = self.pod, self._facts
        deadline = self._deadline(time.time())
        deleted = self._gone or pod.metadata.deletion_timestamp is not None
        if deleted or facts.terminal or facts.failure or decision.finished(pod, facts.records):
            await self._wind_down(deleted)
            return None
        delays = [] if deadline is None else [deadline]
        try:
            await self._stand()
        except (
            VolumeError,
            HostnameError,
            NoFreeAddress,
            TimeoutError,
            RuntimeFailure,
            OSError,
        ) as error:
            delays.append(self._cannot_stand(error))
        if self._standing is not None:
            # Perhaps as it was before a source went: what runs on it may go on, and start again.
            delays += await self._start_due(replace(self._standing, pod=pod))
        return min(delays, default=None)

    async def _start_due(self, ground: PodGround) -> list[float]:
        """Start what is due; the seconds that the others must wait."""
        for container in self._containers():
            self.lives.restart_if_changed(ground.pod, container, ground.ip)
        waits = await self._resize(ground)
        for container in decision.due(ground.pod, self._facts.records):
            wait = await self._start_if_due(ground, container)
            if wait is not None:
                waits.append(wait)
        for container in decision.coming(ground.pod, self._facts.records):
            self._begin(ground, container)
        return waits

    def _begin(self, ground: PodGround, container: Container) -> None:
        """One that must wait: have all done but its start."""
        life = self.lives.record(container.name).life
        attempt = life.attempt + 1 if life else 0
        find = partial(self._images.at_hand, container)
        self.lives.ahead.begin(ground, container, attempt, find)

    async def _resize(self, ground: PodGround) -> list[float]:
        """Give containers, and the pod's cgroup, the resources that the pod has now."""
        differ = []
        for container in self._containers():
            record = self.lives.record(container.name)
            if record.resources is not None and record.resources != container.resources:
                differ.append((container, record))
        for container, record in differ:
            if record.running and resizing.restarts(container, record.resources):
                self.lives.restart(ground.pod, container, ground.ip)
        if not differ or any(record.running and record.changed for _, record in differ):
            return []  # the end of a life wakes us
        lives = [(c, record.life.id) for c, record in differ if record.life and record.running]
        names = ", ".join(container.name for container, _ in differ)
        try:
            await resizing.resize(self._node, ground.pod, lives)
        except OSError as error:
            self._event("Warning", "ResizeError", f"Error resizing {names}: {error}")
            return [RESIZE_RETRY_S]
        for container, record in differ:
            record.resources = container.resources
        self._event("Normal", "ResizeCompleted", f"Resized {names}")
        self._reporter.wake()
        return []

    def _deadline(self, now: float) -> float | None:
        """Seconds until activeDeadlineSeconds; once they are over the pod has failed."""
        limit = self.pod.spec.active_deadline_seconds
        if limit is None or self._facts.terminal:
            return None
        left = self._facts.started_at + limit - now
        if left <= 0 and self._facts.failure is None:
            text = "Pod was active on the node longer than the specified deadline"
            self._facts.failure = ("DeadlineExceeded", text)
            self._event("Normal", "DeadlineExceeded", text)
        return max(left, 0.0)

    async def _stand(self) -> None:
        """Make what the containers stand on, as the pod and its sources are now."""
        if not self._stale:
            return
        if not self.ground.sandbox:
            self._warn_of_host_ports()
        # Before the work: what changes during it is looked at again.
        self._stale = False
        try:
            self._standing = await self.ground.set_up(self.pod)
        except BaseException:
            self._stale = True
            raise
        self._facts.pod_ip, self._facts.sandbox = self.ground.ip, True
        self._waiting.succeeded(_GROUND)

    def _cannot_stand(self, error: Exception) -> float:
        is_volume = isinstance(error, VolumeError)
        reason = "FailedMount" if is_volume else "FailedCreatePodSandBox"
        text = str(error) if is_volume else f"Failed to create pod sandbox: {error}"
        self._event("Warning", reason, text)
        return self._waiting.failed(_GROUND, NotStarted(reason, text), time.time())

    async def _start_if_due(self, ground: PodGround, container: Container) -> float | None:
        """Start a container unless it must wait; then for how many seconds."""
        record, now = self.lives.record(container.name), time.time()
        wait = self._waiting.remaining(self.pod, container, record, now)
        if wait:
            self._begin(ground, container)
            return wait
        try:
            found = await self._images.ready(self.pod, container, ground.references)
        except NotStarted as error:
            self.lives.not_started(self.pod, container, error)
            return self._waiting.failed(container.name, error, time.time())
        if found is None:
            return None  # the end of the pull wakes us
        self._waiting.begins(container, record, now)
        try:
            await self.lives.start(ground, container, found)
        except NotStarted as error:
            if error.reason == "RunContainerError":
                return 0.0  # it is a life that ended, and is treated as one
            return self._waiting.failed(container.name, error, time.time())
        self._waiting.succeeded(container.name)
        self._reporter.wake()
        return None

    # The end

    async def _wind_down(self, deleted: bool) -> None:
        """End what runs, sidecars last; then take the ground away; of a deleted pod everything."""
        self._facts.terminal = True
        self._images.close()
        sidecars = [c for c in self.pod.spec.init_containers if is_sidecar(c)]
        others = [c for c in self._containers() if c not in sidecars]
        if not self._stop(others):
            self._stop(sidecars[::-1])
        if any(record.running for record in self._facts.records.values()):
            return
        if not self._cleared:
            await self.lives.ahead.close()
            await self.lives.forget()
            await self.ground.tear_down(self.pod)
            self._facts.sandbox, self._cleared = False, True
            self._waiting.forget([c.name for c in self._containers()])
        if deleted:
            await self._delete()

    def _stop(self, containers: list[Container]) -> bool:
        """Ask those that run to end; whether any does."""
        grace_s = self._grace()
        running = [c for c in containers if self.lives.record(c.name).running]
        for container in running:
            why = f"Stopping container {container.name}"
            self.lives.stop(self.pod, container, self.ground.ip, grace_s, why)
        return bool(running)

    def _grace(self) -> float:
        meta, spec = self.pod.metadata, self.pod.spec
        if self.evicted:
            return 0
        if self._gone:
            return FORCED_GRACE_S
        if meta.deletion_timestamp and meta.deletion_grace_period_seconds is not None:
            return meta.deletion_grace_period_seconds
        return spec.termination_grace_period_seconds or 0

    async def _delete(self) -> None:
        if not self._gone:
            await self._reporter.report()
        await asyncio.to_thread(remove_files, self._node.paths, self.uid)
        if not self._gone:
            meta = self.pod.metadata
            try:
                await self._node.client.delete(
                    Pod, meta.name, meta.namespace, grace_period=0, uid=meta.uid
                )
            except (NotFound, Conflict):
                pass  # somebody was faster
        self.done.set()

    def _warn_of_host_ports(self) -> None:
        ports = [p.host_port for c in self._containers() for p in c.ports if p.host_port]
        if ports and not self.pod.spec.host_network:
            text = f"hostPort is not supported: ports {ports} are open at the pod's address only"
            self._event("Warning", "HostPortNotSupported", text)

    def _say(self, container: str, type: str, reason: str, message: str) -> None:
        self.lives.event(self.pod, container, type, reason, message)

    def _event(self, type: str, reason: str, message: str) -> None:
        self._node.events.record(self.pod, type, reason, message)
