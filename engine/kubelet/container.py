"""A pod's container as the runtime understands it: pod + container + image -> OCI Spec. Pure.

Kubernetes' rules where it has some; the container runtime's habits (HOME, HOSTNAME, PATH) where it
leaves them to it. What we cannot do is refused with a reason, never ignored.
"""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from engine.images.accounts import Accounts
from engine.kubelet import qos
from engine.kubelet.accounts import identify
from engine.kubelet.downward import ConfigError
from engine.kubelet.environment import expand
from engine.kubelet.privileges import base_spec, held_capabilities, is_filtered, is_privileged
from engine.kubelet.subpath import parts_of
from engine.kubelet.volumes import Mountable
from engine.runtime.profile import default_profile
from engine.runtime.spec import DEFAULT_PATH, Capabilities, Device, Mount, Process, Root, Spec
from engine.types.containers import Container, SecurityContext, VolumeMount
from engine.types.pods import Pod

DEFAULT_TERMINATION_MESSAGE_PATH = "/dev/termination-log"


class ImageConfig(Protocol):
    """What an image says about its containers."""

    @property
    def env(self) -> Sequence[str]: ...
    @property
    def entrypoint(self) -> Sequence[str]: ...
    @property
    def cmd(self) -> Sequence[str]: ...
    @property
    def working_dir(self) -> str: ...
    @property
    def user(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container gets from its pod and node. Memory in bytes.

    devices, held   what a privileged container is given: the machine's devices, and the
                    capabilities that there are to give
    shm     what all containers of the pod have as /dev/shm; None for one of its own
    """

    hostname: str
    environment: Mapping[str, str]
    node_memory: int
    volumes: Mapping[str, Mountable] = field(default_factory=dict)
    accounts: Accounts = field(default_factory=Accounts)
    termination_log: Path | None = None
    devices: tuple[Device, ...] = ()
    held: int = ~0
    shm: Path | None = None


def container_spec(
    pod: Pod, container: Container, image: ImageConfig, around: Surroundings
) -> Spec:
    """The OCI spec of one container. Raise ConfigError for what is missing, wrong or refused."""
    base = base_spec(pod, container, devices=around.devices, shm=around.shm)
    identity = identify(
        image.user, around.accounts, pod.spec.security_context, container.security_context
    )
    variables = _variables(container, image, around, identity.home)
    names = held_capabilities(container, around.held)
    held = names if identity.user.uid == 0 else ()
    context = container.security_context or SecurityContext()
    process = Process(
        args=command_line(container, image, around.environment),
        env=tuple(f"{name}={value}" for name, value in variables.items()),
        cwd=container.working_dir or image.working_dir or "/",
        user=identity.user,
        capabilities=Capabilities(bounding=names, effective=held, permitted=held),
        terminal=container.tty,
        no_new_privileges=not (context.allow_privilege_escalation or context.privileged),
        oom_score_adj=qos.oom_score_adj(pod, container, around.node_memory),
    )
    seccomp = default_profile(names) if is_filtered(pod, container) else None
    return msgspec.structs.replace(
        base,
        process=process,
        root=Root(readonly=bool(context.read_only_root_filesystem)),
        mounts=(*base.mounts, *_mounts(container, around)),
        linux=msgspec.structs.replace(base.linux, seccomp=seccomp),
    )


def command_line(
    container: Container, image: ImageConfig, variables: Mapping[str, str]
) -> tuple[str, ...]:
    """command replaces the entrypoint and drops the image's cmd; args replace the cmd."""
    command = [expand(word, variables) for word in container.command]
    args = [expand(word, variables) for word in container.args]
    if not command:
        command = list(image.entrypoint)
        args = args or list(image.cmd)
    if not (command or args):
        raise ConfigError("no command specified: neither the pod nor the image names one")
    return (*command, *args)


def _variables(
    container: Container, image: ImageConfig, around: Surroundings, home: str
) -> dict[str, str]:
    variables = {"PATH": DEFAULT_PATH, "HOSTNAME": around.hostname, "HOME": home}
    if container.tty:
        variables["TERM"] = "xterm"
    for entry in image.env:
        name, _, value = entry.partition("=")
        variables[name] = value
    return variables | dict(around.environment)


def _mounts(container: Container, around: Surroundings) -> Iterator[Mount]:
    # By depth, so that /data comes before /data/cache.
    for mount in sorted(container.volume_mounts, key=lambda m: _depth(m.mount_path)):
        volume = around.volumes.get(mount.name)
        if volume is None:
            raise ConfigError(f"volumeMount {mount.name}: the pod has no volume of that name")
        yield _mount(container, mount, volume, around)
    if around.termination_log is not None:
        yield Mount(
            destination=container.termination_message_path or DEFAULT_TERMINATION_MESSAGE_PATH,
            type="bind",
            source=str(around.termination_log),
            options=("rbind", "rw"),
        )


def _depth(path: str) -> tuple[int, str]:
    clean = posixpath.normpath(path)
    return clean.count("/"), clean


def _mount(
    container: Container, mount: VolumeMount, volume: Mountable, around: Surroundings
) -> Mount:
    if mount.mount_propagation not in (None, "None"):
        raise ConfigError(f"mountPropagation {mount.mount_propagation} is not supported")
    access = "ro" if mount.read_only or volume.read_only else "rw"
    devices = ("dev",) if is_privileged(container) else ()
    destination = posixpath.join("/", mount.mount_path)
    return Mount(
        destination=destination,
        type="bind",
        source=str(volume.source),
        below="/".join(parts_of(sub_path(mount, around.environment))),
        options=("rbind", access, *devices),
    )


def sub_path(mount: VolumeMount, variables: Mapping[str, str]) -> str:
    """The part of the volume that is mounted; empty for all of it."""
    return expand(mount.sub_path_expr, variables) or mount.sub_path
