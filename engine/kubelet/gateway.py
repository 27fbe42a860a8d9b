"""All local nodes of a cluster, as the API asks them: logs, sessions, anatomy, statistics.

Satisfies the API's NodeGateway without knowing it. Its `run` does what belongs to the nodes
together: the shared clock of the statistics, and showing the machine's images.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from engine.images.errors import ImageError
from engine.images.rootfs import open_rootfs
from engine.images.types import Image
from engine.kubelet import conversation, logs, qos
from engine.kubelet.anatomy import anatomy
from engine.kubelet.conversation import NotExecuted
from engine.kubelet.files import Held, NodeFiles
from engine.kubelet.images import NodeImages
from engine.kubelet.kubelet import Kubelet
from engine.kubelet.logs import LogOptions
from engine.kubelet.published import follow_images
from engine.kubelet.stats import Stats
from engine.kubelet.worker import PodWorker
from engine.runtime.runtime import Runtime, Session
from engine.runtime.trace import told
from engine.types import clock
from engine.types.containers import Container
from engine.types.pods import Pod
from engine.types.stats import Tick
from engine.types.status import BadRequest, NotFound


class NodeLogOptions(LogOptions, Protocol):
    """As a pod's log is asked for: of the present life, or of the one before."""

    @property
    def previous(self) -> bool: ...


class Gateway:
    def __init__(self, kubelets: Sequence[Kubelet], home: Path) -> None:
        """`home` has the settings of registries."""
        self._kubelets = {kubelet.name: kubelet for kubelet in kubelets}
        self._stats = Stats(kubelets)
        self.images = NodeImages(kubelets[0].node.images, home, self._upper)
        self.files = NodeFiles(self._held)

    async def run(self) -> None:
        """Count every second, follow the image store; until cancelled."""
        async with asyncio.TaskGroup() as parts:
            parts.create_task(self._stats.run())
            for kubelet in list(self._kubelets.values())[:1]:
                node = kubelet.node
                parts.create_task(follow_images(node.client, node.images, self._images_changed))

    def _images_changed(self) -> None:
        for kubelet in self._kubelets.values():
            kubelet.images_changed()

    def stats(self, history: int) -> AsyncIterator[Tick]:
        """The last `history` ticks (at most 300), then one each second."""
        return self._stats.subscribe(history)

    def recent(self, count: int) -> list[Tick]:
        """The last ticks there were, at most `count`, oldest first."""
        return self._stats.recent(count)

    async def logs(self, pod: Pod, container: str, options: NodeLogOptions) -> AsyncIterator[bytes]:
        """What the container wrote. Raise NotFound or BadRequest when there is no such life."""
        _, worker = self._find(pod)
        record = worker.lives.record(container)
        if record.life is None:
            reason = record.waiting[0] if record.waiting else "ContainerCreating"
            whose = f'container "{container}" in pod "{pod.metadata.name}"'
            raise BadRequest(f"{whose} is waiting to start: {reason}")
        attempt, ended = record.life.attempt, worker.lives.ended(container)
        if options.previous:
            attempt -= 1
        path = worker.ground.folders.log(container, attempt)
        if options.previous and not path.exists():
            name = pod.metadata.name
            raise BadRequest(
                f'previous terminated container "{container}" in pod "{name}" not found'
            )
        if path.exists():  # a container that could not be started has none
            text = logs.read(path, options, None if options.previous else ended)
            async with aclosing(text) as blocks:
                async for block in blocks:
                    yield block

    async def anatomy(self, pod: Pod, container: str) -> dict[str, Any]:
        """The container taken apart, as JSON data. Raise NotFound."""
        kubelet, worker = self._find(pod)
        node, declared = kubelet.node, worker.container(container)
        life = worker.lives.record(container).life
        if life is None or declared is None:
            raise NotFound("containers", container)
        states = await node.runtime.containers()
        state = next((state for state in states if state.id == life.id), None)
        uid = pod.metadata.uid
        siblings = [s for s in states if s.sandbox == uid and s.running and s.id != life.id]
        sandboxes = await node.runtime.sandboxes()

        def look() -> dict[str, Any]:
            image, sharing = _image(kubelet, declared.image)
            return anatomy(
                state,
                hierarchy=node.hierarchy,
                resources=qos.container_resources(declared, node.config.milli),
                folder=worker.ground.folders.container(container, life.attempt),
                image=image,
                sharing=sharing,
                siblings=siblings,
                sandbox=next((sandbox for sandbox in sandboxes if sandbox.id == uid), None),
            )

        return await asyncio.to_thread(look)

    async def trace(self, pod: Pod, container: str) -> dict[str, Any]:
        """What the start of the container's present life did, as JSON data. Raise NotFound."""
        kubelet, worker = self._find(pod)
        life = worker.lives.record(container).life
        states = await kubelet.node.runtime.containers() if life is not None else []
        state = next((s for s in states if life is not None and s.id == life.id), None)
        if state is None or life is None:
            raise NotFound("containers", container)
        kept = await asyncio.to_thread(_read, worker.ground.folders.plan(container, life.attempt))
        steps = [
            {name: value for name, value in asdict(step).items() if value not in ("", None)}
            for step in told(kept, state.trace)
        ]
        total = sum(us for _, _, us in state.trace)
        return {"container": container, "attempt": life.attempt, "id": life.id} | {
            "startedAt": clock.format(state.started_at),
            "microseconds": total,
            "warnings": state.warnings,
            "steps": steps,
        }

    async def exec(
        self, pod: Pod, container: str, command: Sequence[str], *, terminal: bool, stdin: bool
    ) -> Session | NotExecuted:
        """Run a command in a container that runs, and talk with it. Raise StatusError."""
        runtime, _, id = self._running(pod, container)
        return await conversation.execute(
            runtime, id, container, command, terminal=terminal, stdin=stdin
        )

    async def attach(self, pod: Pod, container: str, *, stdin: bool) -> Session:
        """Join a container's first process. Raise StatusError."""
        runtime, declared, id = self._running(pod, container)
        return await conversation.attach(runtime, id, declared, stdin=stdin)

    async def dial(self, pod: Pod, port: int) -> socket.socket:
        """A connection to a port of the pod's own loopback. Raise StatusError."""
        kubelet, _ = self._find(pod)
        return await conversation.dial(kubelet.node.runtime, pod, port)

    def _upper(self, pod: Pod, container: str) -> tuple[Path, str]:
        """Where a container writes, and its image."""
        _, worker = self._find(pod)
        declared, life = worker.container(container), worker.lives.record(container).life
        if declared is None or life is None:
            raise NotFound("containers", container)
        folder = worker.ground.folders.container(container, life.attempt)
        return open_rootfs(folder).upper, declared.image

    def _held(self, pod: Pod, container: str) -> Held:
        """A container that has had a life, for its files."""
        kubelet, worker = self._find(pod)
        declared, life = worker.container(container), worker.lives.record(container).life
        if declared is None or life is None:
            raise NotFound("containers", container)
        return Held(
            node=kubelet.node,
            declared=declared,
            folder=worker.ground.folders.container(container, life.attempt),
            id=life.id if life.running else "",
            cgroup=worker.cgroup + b"/" + life.id.encode(),
        )

    def _running(self, pod: Pod, container: str) -> tuple[Runtime, Container, str]:
        kubelet, worker = self._find(pod)
        declared, life = worker.container(container), worker.lives.record(container).life
        if declared is None or life is None or not life.running:
            raise conversation.not_running(container)
        return kubelet.node.runtime, declared, life.id

    def _find(self, pod: Pod) -> tuple[Kubelet, PodWorker]:
        kubelet = self._kubelets.get(pod.spec.node_name)
        worker = kubelet.worker(pod.metadata.uid) if kubelet else None
        if kubelet is None or worker is None:
            raise NotFound("pods", pod.metadata.name)
        return kubelet, worker


def _read(path: Path) -> bytes:
    """Empty where there is none, as an earlier version kept none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _image(kubelet: Kubelet, reference: str) -> tuple[Image | None, dict[str, list[str]]]:
    """The image, if it is still there, and the references that share each of its layers."""
    store = kubelet.node.images
    sharing: dict[str, list[str]] = {}
    for image in store.images():
        for layer in image.layers:
            sharing.setdefault(str(layer.diff_id), []).append(image.reference)
    try:
        return store.resolve(reference), sharing
    except ImageError:
        return None, sharing
