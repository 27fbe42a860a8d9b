"""The images of one pod's containers: found in the store, or brought there first.

What takes long is a task that wakes the pod's worker when it is done, so that a deletion is never
kept waiting by a slow registry. The words of events and reasons are the kubelet's
(pkg/kubelet/images/image_manager.go).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.images.errors import BadDigest, BadReference, ImageError, ImageNotFound
from engine.images.reference import Reference
from engine.images.types import Image
from engine.kubelet.environment import References
from engine.kubelet.node import LocalNode
from engine.kubelet.pulls import Secrets, local_only
from engine.kubelet.starter import NotStarted
from engine.kubelet.waiting import Say
from engine.types.containers import Container
from engine.types.pods import Pod

_JSON, _OLD = ".dockerconfigjson", ".dockercfg"


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image and its layers' folders, top first."""

    image: Image
    lowerdirs: list[Path]


@dataclass(frozen=True, slots=True)
class _Pull:
    reference: str
    task: asyncio.Task[FoundImage]


class PodImages:
    """`say` tells events, `woken` is called when something that took long is over."""

    def __init__(self, node: LocalNode, say: Say, woken: Callable[[], None]) -> None:
        self._node = node
        self._say = say
        self._woken = woken
        self._pulls: dict[str, _Pull] = {}

    async def ready(
        self, pod: Pod, container: Container, references: References
    ) -> FoundImage | None:
        """The image for the container's next life; None while it is being pulled.

        Raise NotStarted.
        """
        pull = self._pulls.get(container.name)
        if pull is not None and pull.reference != container.image:
            self._end(container.name)
            pull = None
        if pull is not None:
            if not pull.task.done():
                return None
            del self._pulls[container.name]
            return pull.task.result()
        wanted = self._parsed(container)
        present = await asyncio.to_thread(self._present, container)
        always = container.image_pull_policy == "Always" and not local_only(wanted)
        if present is not None and not always:
            text = f'Container image "{container.image}" already present on machine'
            self._say(container.name, "Normal", "Pulled", text)
            return await self._prepared(present, container)
        if container.image_pull_policy == "Never":
            text = f'Container image "{container.image}" is not present with pull policy of Never'
            self._say(container.name, "Warning", "ErrImageNeverPull", text)
            raise NotStarted("ErrImageNeverPull", text)
        self._say(container.name, "Normal", "Pulling", f'Pulling image "{container.image}"')
        secrets = self._secrets(pod, container, references)
        task = asyncio.create_task(self._pulled(container, secrets), name=container.image)
        task.add_done_callback(lambda _: self._woken())
        self._pulls[container.name] = _Pull(container.image, task)
        return None

    async def at_hand(self, container: Container) -> FoundImage | None:
        """The image as it is in the store; None when it is not there. Raise NotStarted."""
        self._parsed(container)
        present = await asyncio.to_thread(self._present, container)
        return None if present is None else await self._prepared(present, container)

    def close(self) -> None:
        """Nobody needs them any more."""
        for name in list(self._pulls):
            self._end(name)

    def _end(self, name: str) -> None:
        task = self._pulls.pop(name).task
        task.cancel()
        if task.done() and not task.cancelled():
            task.exception()

    def _parsed(self, container: Container) -> Reference:
        try:
            return Reference.parse(container.image)
        except (BadReference, BadDigest) as error:
            self._say(container.name, "Warning", "InspectFailed", str(error))
            raise NotStarted("InvalidImageName", str(error)) from error

    def _present(self, container: Container) -> Image | None:
        try:
            return self._node.images.resolve(container.image)
        except ImageNotFound:
            return None
        except ImageError as error:
            raise NotStarted("ImageInspectError", str(error)) from error

    async def _prepared(self, image: Image, container: Container) -> FoundImage:
        """With its layers unpacked: one at a time for each image, because pods that wait for it
        must not hold the threads that other pods need."""
        try:
            async with self._node.image_turns[container.image]:
                keeper = self._node.runtime.keeper_pid
                lowerdirs = await asyncio.to_thread(self._node.images.prepare, image, keeper=keeper)
        except (ImageError, OSError) as error:
            raise self._failed(container, "unpack", error) from error
        return FoundImage(image, lowerdirs)

    async def _pulled(self, container: Container, secrets: Secrets) -> FoundImage:
        try:
            done = await self._node.puller.pull(container.image, secrets)
        except (ImageError, OSError) as error:
            raise self._failed(container, "pull", error) from error
        text = f'Successfully pulled image "{container.image}" in {elapsed(done.seconds)}'
        text += f" ({elapsed(done.waited)} including waiting). Image size: {done.image.size} bytes."
        self._say(container.name, "Normal", "Pulled", text)
        return await self._prepared(done.image, container)

    def _failed(self, container: Container, what: str, error: Exception) -> NotStarted:
        text = f'failed to {what} image "{container.image}": {error}'
        self._say(container.name, "Warning", "Failed", text[:1].upper() + text[1:])
        return NotStarted("ErrImagePull", text)

    def _secrets(self, pod: Pod, container: Container, references: References) -> Secrets:
        """The pod's imagePullSecrets, as far as there are any."""
        found, missing = [], []
        for name in (reference.name for reference in pod.spec.image_pull_secrets):
            data = references.secrets.get(name, {})
            title = f"secret {references.namespace}/{name}"
            if _JSON in data:
                found.append((title, data[_JSON]))
            elif _OLD in data:
                found.append((title, b'{"auths": ' + data[_OLD] + b"}"))
            else:
                missing.append(name)
        if missing:
            text = f"Unable to retrieve some image pull secrets ({', '.join(missing)});"
            text += " attempting to pull the image may not succeed."
            self._say(container.name, "Warning", "FailedToRetrieveImagePullSecret", text)
        return tuple(found)


def elapsed(seconds: float) -> str:
    """As Go prints a duration cut to milliseconds: 812ms, 1.5s, 1m2s."""
    milliseconds = round(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms" if milliseconds else "0s"
    minutes, rest = divmod(milliseconds, 60_000)
    short = f"{rest / 1000:.3f}".rstrip("0").rstrip(".")
    hours, minutes = divmod(minutes, 60)
    return (
        (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes or hours else "") + f"{short}s"
    )
