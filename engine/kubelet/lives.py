"""The containers of one pod: starting, probing, ending them, and what became of each.

Only facts are kept here, and every fact that changes wakes the pod's worker, which decides.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Coroutine, Mapping, Set
from dataclasses import replace
from typing import Any

from engine.kubelet import probes
from engine.kubelet.ahead import Ahead
from engine.kubelet.folders import PodFolders
from engine.kubelet.handlers import Handlers, Outcome
from engine.kubelet.logs import last_lines
from engine.kubelet.node import LocalNode
from engine.kubelet.podimages import FoundImage
from engine.kubelet.probes import Kind, Verdict
from engine.kubelet.starter import (
    IMAGE,
    STOP_SIGNAL,
    NotStarted,
    PodGround,
    forget_before,
    make,
    recipe,
    start,
)
from engine.kubelet.status import KILLED, LOST, LOST_TEXT, UNKNOWN_TEXT, Life, Record
from engine.kubelet.stopping import Stopping, run_hook
from engine.runtime.runtime import ContainerState, KeeperLost
from engine.types.containers import Container, EphemeralContainer, Probe
from engine.types.pods import Pod

WORDS_MAX = 4096
FALLBACK_LINES, FALLBACK_MAX = 80, 2048
HOOK_TIMEOUT_S = 120.0
START_ERROR = 128

log = logging.getLogger(__name__)


class Lives:
    """`records` holds every container that was ever tried; `woken` is called after each change."""

    def __init__(self, node: LocalNode, folders: PodFolders, woken: Callable[[], None]) -> None:
        self._node = node
        self._folders = folders
        self._woken = woken
        self.records: dict[str, Record] = {}
        self._running: dict[str, _Running] = {}
        self._held: dict[str, str] = {}
        self.ahead = Ahead(node)
        self._starting = False
        self._early: dict[str, ContainerState] = {}

    def record(self, name: str) -> Record:
        return self.records.setdefault(name, Record())

    def ended(self, name: str) -> asyncio.Event:
        """Set once the container's present life is over; at once when it does not run."""
        if name in self._running:
            return self._running[name].over
        over = asyncio.Event()
        over.set()
        return over

    async def start(self, ground: PodGround, container: Container, found: FoundImage) -> None:
        """Begin the container's next life. Raise NotStarted; its record then says why."""
        pod, name, record = ground.pod, container.name, self.record(container.name)
        attempt = record.life.attempt + 1 if record.life else 0
        try:
            record.image_id = str(found.image.digest)
            await self._let_go(name)
            self._starting = True
            ground = replace(ground, ids=self._ids())
            image, lowerdirs = found.image, found.lowerdirs
            asked = recipe(self._node, ground, container, attempt, image, lowerdirs)
            config = await self.ahead.take(name, asked)
            if config is None:
                made = await make(self._node, ground, container, image, asked)
                config = made.config
            try:
                state = await start(self._node, config)
            finally:
                await asyncio.to_thread(forget_before, self._folders, name, attempt)
        except NotStarted as error:
            self.not_started(pod, container, error)
            raise
        finally:
            self._starting = False
        self.event(pod, name, "Normal", "Created", f"Created container: {name}")
        self.event(pod, name, "Normal", "Started", f"Started container {name}")
        if state.warnings:
            text = f"Container {name} has not all that it asked for: {'; '.join(state.warnings)}"
            self.event(pod, name, "Warning", "Degraded", text)
        record.last, record.waiting, record.changed = record.life, None, False
        record.resources = container.resources
        record.life = Life(state.id, attempt, state.started_at)
        self._begin(pod, container, state, ground.ip, fresh=True)
        if state.id in self._early:
            self.exited(pod, container, self._early[state.id])
        self._early.clear()

    def _ids(self) -> dict[str, str]:
        return {name: running.life.id for name, running in self._running.items()}

    def not_started(self, pod: Pod, container: Container, error: NotStarted) -> None:
        """A try did not become a life, and this is why."""
        record = self.record(container.name)
        record.waiting = (error.reason, str(error))
        # Of an image the cause was told already.
        what = error.reason if "Image" in error.reason else error
        self.event(pod, container.name, "Warning", "Failed", f"Error: {what}")
        if error.reason == "RunContainerError":
            # The runtime tried: a life, if a short one, and it counts for back-off.
            attempt = record.life.attempt + 1 if record.life else 0
            record.last = record.life
            now = time.time()
            record.life = Life("", attempt, now, now, START_ERROR, "StartError", str(error))

    def adopt(
        self, pod: Pod, container: Container, state: ContainerState, attempt: int, ip: str
    ) -> None:
        """Go on with a life that began under an earlier engine."""
        record = self.record(container.name)
        if record.life is not None and record.life.attempt < attempt:
            record.last = record.life
        record.life = Life(state.id, attempt, state.started_at)
        record.waiting = None
        self._begin(pod, container, state, ip, fresh=False)
        if state.finished_at is not None:
            self.exited(pod, container, state)

    def holds(self, id: str) -> bool:
        """Whether the runtime's container of that id is known here, and not let go of."""
        return id in self._held.values()

    def lose(self, known: Set[str]) -> None:
        """The node's keeper died, and with it every container whose id is not `known`."""
        now = time.time()
        for name, running in list(self._running.items()):
            if running.life.id not in known:
                life = running.life
                life.finished_at, life.exit_code = now, KILLED
                life.reason, life.message = LOST, LOST_TEXT
                self._close(name)
        self._held = {name: id for name, id in self._held.items() if id in known}
        self._woken()

    def exited(self, pod: Pod, container: Container | None, state: ContainerState) -> None:
        """A life is over: one that runs here, or the very one that is being started."""
        name = next((n for n, r in self._running.items() if r.life.id == state.id), None)
        if name is None or container is None:
            if self._starting:
                self._early[state.id] = state
            return
        life = self._running[name].life
        life.finished_at = state.finished_at or time.time()
        if state.exit_code is None:
            life.exit_code, life.reason, life.message = KILLED, LOST, UNKNOWN_TEXT
        else:
            life.exit_code = state.exit_code
            life.reason = "Completed" if life.exit_code == 0 else "Error"
            if state.oom_killed and life.exit_code:
                life.reason = "OOMKilled"
            life.message = self._words(container, life)
        self._close(name)
        self._woken()

    def _words(self, container: Container, life: Life) -> str:
        """The container's last words: its termination message, or the end of a failed one's log."""
        try:
            with self._folders.words(container.name, life.attempt).open("rb") as file:
                words = file.read(WORDS_MAX)
        except FileNotFoundError:
            words = b""
        wanted = container.termination_message_policy == "FallbackToLogsOnError"
        if not words and wanted and life.exit_code:
            log = self._folders.log(container.name, life.attempt)
            words = last_lines(log, FALLBACK_LINES, FALLBACK_MAX)
        return words.decode(errors="replace")

    def restart_if_changed(self, pod: Pod, container: Container, ip: str) -> None:
        """End a container that runs another image than its pod asks for now."""
        running, record = self._running.get(container.name), self.record(container.name)
        if running is None or record.changed or running.image in ("", container.image):
            return
        self.restart(pod, container, ip)

    def restart(self, pod: Pod, container: Container, ip: str) -> None:
        """End it, to start it again as its pod says now."""
        self.record(container.name).changed = True
        grace_s = float(pod.spec.termination_grace_period_seconds or 0)
        why = f"Container {container.name} definition changed, will be restarted"
        self.stop(pod, container, ip, grace_s, why)

    def stop(self, pod: Pod, container: Container, ip: str, grace_s: float, why: str) -> None:
        """End the container within `grace_s` seconds, if it runs; sooner if asked for less."""
        running = self._running.get(container.name)
        if running is None:
            return
        if running.stopping is not None:
            running.stopping.within(grace_s)
            return
        self.event(pod, container.name, "Normal", "Killing", why)
        running.stopping = Stopping(self._node, container, running.life.id, ip, running.over)
        running.stopping.within(grace_s)
        failed = self._hook_failed(pod, container, "PreStop")
        running.spawn(running.stopping.run(failed, running.stop_signal))

    async def forget(self) -> None:
        """Let the runtime forget all of them."""
        for name in list(self._held):
            await self._let_go(name)

    async def close(self) -> None:
        """Stop watching; the containers live on."""
        tasks = [task for running in self._running.values() for task in running.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _let_go(self, name: str) -> None:
        id = self._held.pop(name, None)
        if id is not None:
            await self._node.runtime.remove(id)

    def _begin(
        self, pod: Pod, container: Container, state: ContainerState, ip: str, *, fresh: bool
    ) -> None:
        record = self.record(container.name)
        assert record.life is not None
        running = self._running[container.name] = _Running(record.life, state.labels)
        self._held[container.name] = record.life.id
        handlers = Handlers(self._node, container, record.life.id, ip)
        hook = container.lifecycle.post_start if container.lifecycle and fresh else None
        if hook is None:
            self._after_hook(pod, container, handlers)
            return

        async def first() -> None:
            failure = await run_hook(handlers, hook, HOOK_TIMEOUT_S)
            if failure:
                self._hook_failed(pod, container, "PostStart")(failure)
                grace_s = float(pod.spec.termination_grace_period_seconds or 0)
                self.stop(pod, container, ip, grace_s, "FailedPostStartHook")
            else:
                self._after_hook(pod, container, handlers)

        running.spawn(first())

    def _after_hook(self, pod: Pod, container: Container, handlers: Handlers) -> None:
        if container.startup_probe is None:
            self._started(pod, container, handlers)
        else:
            self._probe(pod, container, handlers, Kind.STARTUP, container.startup_probe)

    def _started(self, pod: Pod, container: Container, handlers: Handlers) -> None:
        record = self.record(container.name)
        record.started = True
        looks = isinstance(container, EphemeralContainer)
        record.ready = container.readiness_probe is None and not looks
        if container.readiness_probe is not None:
            self._probe(pod, container, handlers, Kind.READINESS, container.readiness_probe)
        if container.liveness_probe is not None:
            self._probe(pod, container, handlers, Kind.LIVENESS, container.liveness_probe)
        self._woken()

    def _probe(
        self, pod: Pod, container: Container, handlers: Handlers, kind: Kind, probe: Probe
    ) -> None:
        running = self._running[container.name]

        def decided(verdict: Verdict) -> None:
            self._decide(pod, container, handlers, probe, verdict)

        def failed(text: str) -> None:
            self.event(pod, container.name, "Warning", "Unhealthy", text)

        async def ask() -> Outcome:
            while True:
                runtime = self._node.runtime
                try:
                    return await probes.ask(handlers, probe)
                except KeeperLost:
                    # That says nothing of the container: the next keeper is asked.
                    await self._node.another_than(runtime)

        running.spawn(probes.watch(kind, probe, ask, decided, failed))

    def _decide(
        self, pod: Pod, container: Container, handlers: Handlers, probe: Probe, verdict: Verdict
    ) -> None:
        record = self.record(container.name)
        if verdict.kind is Kind.READINESS:
            if record.ready != verdict.ok:
                record.ready = verdict.ok
                self._woken()
        elif verdict.kind is Kind.STARTUP and verdict.ok:
            self._started(pod, container, handlers)
        elif not verdict.ok:
            grace = probe.termination_grace_period_seconds
            if grace is None:
                grace = pod.spec.termination_grace_period_seconds or 0
            what = verdict.kind.value.lower()
            why = f"Container {container.name} failed {what} probe, will be restarted"
            self.stop(pod, container, handlers.pod_ip, grace, why)

    def _hook_failed(self, pod: Pod, container: Container, hook: str) -> Callable[[str], None]:
        return lambda text: self.event(
            pod, container.name, "Warning", f"Failed{hook}Hook", f"{hook}Hook failed: {text}"
        )

    def _close(self, name: str) -> None:
        running = self._running.pop(name)
        record = self.record(name)
        record.started = record.ready = False
        running.over.set()
        for task in running.tasks:
            # The stopping task sees the end by itself, and may be the one that is speaking.
            if task is not asyncio.current_task():
                task.cancel()

    def event(self, pod: Pod, name: str, type: str, reason: str, message: str) -> None:
        lists = (
            ("initContainers", pod.spec.init_containers),
            ("ephemeralContainers", pod.spec.ephemeral_containers),
        )
        field = next((f for f, of in lists if any(c.name == name for c in of)), "containers")
        path = f"spec.{field}{{{name}}}"
        self._node.events.record(pod, type, reason, message, field_path=path)


class _Running:
    """A life that is not over: what goes on around it, and its end."""

    def __init__(self, life: Life, labels: Mapping[str, str]) -> None:
        self.life = life
        self.stop_signal = int(labels.get(STOP_SIGNAL, signal.SIGTERM))
        self.image = labels.get(IMAGE, "")
        self.over = asyncio.Event()
        self.stopping: Stopping | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # With the keeper everything ends, and the node says so.
            level = logging.DEBUG if isinstance(error, KeeperLost) else logging.ERROR
            log.log(level, "container %s: %s", self.life.id, error, exc_info=error)
