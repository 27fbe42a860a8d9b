"""Starting one container: image, environment, root filesystem, spec, plan, process.

Each step's failure becomes the container's waiting reason, in Kubernetes' words, with what went
wrong in our own.
"""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from engine.images.accounts import Accounts
from engine.images.errors import ImageError
from engine.images.rootfs import Rootfs, create_rootfs, remove_rootfs
from engine.images.types import Image
from engine.kubelet import etc, qos
from engine.kubelet.container import Surroundings, container_spec, sub_path
from engine.kubelet.downward import ConfigError
from engine.kubelet.environment import References, environment
from engine.kubelet.folders import PodFolders
from engine.kubelet.node import CLUSTER_DOMAIN, LocalNode
from engine.kubelet.privileges import EVERY_DEVICE, base_spec, is_privileged, pids_of
from engine.kubelet.stopping import stop_signal
from engine.kubelet.subpath import ensure
from engine.kubelet.volumes import Mountable
from engine.runtime.cgroup.api import Resources
from engine.runtime.plan import Target, compile, prepare
from engine.runtime.runtime import ContainerConfig, ContainerState, StartError
from engine.runtime.trace import keep
from engine.types.containers import Container
from engine.types.pods import Pod


class NotStarted(Exception):
    """Why a container waits: `reason` is Kubernetes' word, the text is for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PodGround:
    """What all containers of a pod stand on."""

    pod: Pod
    folders: PodFolders
    ip: str
    references: References
    volumes: Mapping[str, Mountable]
    shm: Path | None = None
    ids: Mapping[str, str] = field(default_factory=dict)
    """Of its containers that run, by name."""


UID = "io.kubernetes.pod.uid"
NAME = "io.kubernetes.container.name"
ATTEMPT = "io.kubernetes.container.restartCount"
IMAGE = "io.podarium.container.image"
STOP_SIGNAL = "io.podarium.container.stopSignal"


def labels(pod: Pod, container: str = "", attempt: int = 0) -> dict[str, str]:
    """How a container, or without a name a sandbox, is known again by a new engine."""
    meta = pod.metadata
    found = {
        UID: meta.uid,
        "io.kubernetes.pod.namespace": meta.namespace,
        "io.kubernetes.pod.name": meta.name,
    }
    if container:
        found |= {NAME: container, ATTEMPT: str(attempt)}
    return found


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that a container's life is made of, beside its pod's unchanging spec."""

    container: Container
    attempt: int
    image: str
    lowerdirs: tuple[Path, ...]
    variables: Mapping[str, str]
    files: tuple[str, bytes, bytes]
    """Its hostname, hosts and resolv.conf."""
    ip: str
    volumes: Mapping[str, Mountable]
    sources: tuple[tuple[int, int] | None, ...]
    """Which files and folders its volumes are: device and inode."""


@dataclass(frozen=True, slots=True)
class Made:
    """A container that is ready to be started."""

    recipe: Recipe
    config: ContainerConfig


def recipe(
    node: LocalNode,
    ground: PodGround,
    container: Container,
    attempt: int,
    image: Image,
    lowerdirs: list[Path],
) -> Recipe:
    """Of the container's `attempt`-th life. Raise NotStarted."""
    pod = ground.pod
    try:
        variables = environment(
            pod, container, ground.references, pod_ip=ground.ip, node=node.config.facts
        )
        files = (
            etc.hostname(pod, node.config.name, CLUSTER_DOMAIN),
            etc.hosts(pod, ground.ip, node.config.name, CLUSTER_DOMAIN),
            etc.resolv_conf(pod, node.resolv_conf(), CLUSTER_DOMAIN),
        )
    except (ConfigError, OSError, ValueError) as error:
        raise _not_created(error) from error
    return Recipe(
        container=container,
        attempt=attempt,
        image=str(image.digest),
        lowerdirs=tuple(lowerdirs),
        variables=variables,
        files=files,
        ip=ground.ip,
        volumes=ground.volumes,
        sources=tuple(_identity(volume.source) for volume in ground.volumes.values()),
    )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _not_created(error: Exception) -> NotStarted:
    asked_wrong = isinstance(error, ConfigError)
    reason = "CreateContainerConfigError" if asked_wrong else "CreateContainerError"
    return NotStarted(reason, str(error))


async def make(
    node: LocalNode, ground: PodGround, container: Container, image: Image, asked: Recipe
) -> Made:
    """Lay out a life's folders, and have begun what can be. Raise NotStarted."""
    id, attempt = secrets.token_hex(32), asked.attempt
    try:
        (rootfs, accounts), _ = await asyncio.gather(
            asyncio.to_thread(_lay_out, ground, asked),
            _prepare(node, ground, container, id),
        )
        around = Surroundings(
            hostname=asked.files[0],
            environment=asked.variables,
            node_memory=node.config.memory,
            volumes=ground.volumes,
            accounts=accounts,
            termination_log=ground.folders.words(container.name, attempt),
            devices=node.devices if is_privileged(container) else (),
            held=node.held,
            shm=ground.shm,
        )
        spec = container_spec(ground.pod, container, image.config, around)
        plan = compile(spec, _target(node, ground, container, rootfs, id))
        ground.folders.plan(container.name, attempt).write_bytes(keep(plan))
    except (ConfigError, OSError, ImageError, ValueError) as error:
        await node.runtime.unprepare(id)
        raise _not_created(error) from error
    config = ContainerConfig(
        id=plan.container_id,
        sandbox=ground.pod.metadata.uid,
        labels={
            **labels(ground.pod, container.name, attempt),
            IMAGE: container.image,
            STOP_SIGNAL: str(int(stop_signal(container, image.config.stop_signal))),
        },
        plan=plan,
        log_path=ground.folders.log(container.name, attempt),
    )
    return Made(asked, config)


async def start(node: LocalNode, config: ContainerConfig) -> ContainerState:
    """Start what was made. Raise NotStarted."""
    try:
        return await node.runtime.start(config)
    except StartError as error:
        raise NotStarted("RunContainerError", str(error)) from error
    except OSError as error:
        raise NotStarted("CreateContainerError", str(error)) from error


def forget_before(folders: PodFolders, name: str, attempt: int) -> None:
    """The folders of the life before go; its log stays."""
    if attempt:
        remove_rootfs(folders.container(name, attempt - 1))
        folders.words(name, attempt - 1).unlink(missing_ok=True)
        folders.plan(name, attempt - 1).unlink(missing_ok=True)
        folders.forget_logs(name, before=attempt - 1)


async def _prepare(node: LocalNode, ground: PodGround, container: Container, id: str) -> None:
    """Have what does not depend on its image made while that is being laid out."""
    uid = ground.pod.metadata.uid
    if pids_of(ground.pod, container) is not None:
        return  # it is cloned into what others began
    cgroup = node.pod_cgroup(uid) + b"/" + id.encode()
    devices = node.devices if is_privileged(container) else ()
    try:
        base = base_spec(ground.pod, container, devices=devices, shm=ground.shm)
        ahead = prepare(
            base,
            container_id=id,
            sandbox=uid,
            cgroup=cgroup,
            hierarchy=node.hierarchy,
            devices=EVERY_DEVICE if is_privileged(container) else None,
        )
        await node.runtime.prepare(ahead)
    except ConfigError:
        return
    except OSError:
        # The start itself, which does without, will say why it cannot be.
        return


def _lay_out(ground: PodGround, asked: Recipe) -> tuple[Rootfs, Accounts]:
    """The container's folders."""
    folders, container, attempt = ground.folders, asked.container, asked.attempt
    # What an earlier try of the same attempt may have left.
    remove_rootfs(folders.container(container.name, attempt))
    folders.log(container.name, attempt).parent.mkdir(parents=True, exist_ok=True)
    hostname, hosts, resolv = asked.files
    rootfs = create_rootfs(
        list(asked.lowerdirs),
        folders.container(container.name, attempt),
        hostname=hostname,
        hosts=hosts,
        resolv=resolv,
    )
    for mount in container.volume_mounts:
        below, volume = sub_path(mount, asked.variables), ground.volumes.get(mount.name)
        if below and volume is not None and not volume.read_only:
            ensure(volume.source, below)
    words = folders.words(container.name, attempt)
    words.touch()
    words.chmod(0o666)
    return rootfs, _accounts(asked.lowerdirs)


@lru_cache(maxsize=64)
def _accounts(lowerdirs: tuple[Path, ...]) -> Accounts:
    """The image's passwd and group files; layers never change, so they are read once."""
    return Accounts.of(lowerdirs)


def _target(
    node: LocalNode, ground: PodGround, container: Container, rootfs: Rootfs, id: str
) -> Target:
    uid = ground.pod.metadata.uid
    resources = qos.container_resources(container, node.config.milli)
    if is_privileged(container):
        fields = resources.fields() | {"devices": EVERY_DEVICE}
        resources = Resources(**fields)  # type: ignore[arg-type]
    return Target(
        container_id=id,
        sandbox=uid,
        lowerdirs=tuple(rootfs.lowerdirs),
        upper=rootfs.upper,
        work=rootfs.work,
        hosts=rootfs.hosts,
        hostname=rootfs.hostname,
        resolv_conf=rootfs.resolv_conf,
        stdin=container.stdin,
        cgroup=node.pod_cgroup(uid) + b"/" + id.encode(),
        hierarchy=node.hierarchy,
        resources=resources,
        pids=_pids(ground, container),
    )


def _pids(ground: PodGround, container: Container) -> str:
    """As Target.pids. Raise ConfigError when the container that it is to look at does not run."""
    whose = pids_of(ground.pod, container) or ""
    if whose in ("", "pod"):
        return whose
    if whose not in ground.ids:
        raise ConfigError(f"targetContainerName: container {whose} is not running")
    return ground.ids[whose]
