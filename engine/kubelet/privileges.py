"""What a container is allowed beyond what every container is: namespaces of its node or of its pod,
the machine's devices, all of /proc and /sys, capabilities. What we cannot do is refused. Pure, but
for `machine_devices`.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

import msgspec

from engine.kubelet.downward import ConfigError
from engine.linux.flags import CAP, cap_name, cap_number
from engine.runtime import capabilities
from engine.runtime.spec import Device, Mount, Namespace, Spec, default_spec
from engine.types.containers import Container, EphemeralContainer, SecurityContext
from engine.types.pods import Pod, PodSecurityContext

EVERY_DEVICE = ("a *:* rwm",)
# What a container has its own of, or what is made for those who need it.
_OWN_NODES = frozenset({"pts", "shm", "mqueue", "console", "fd", "core", "ptmx", "tty"})
_OWN_NODES |= {"null", "zero", "full", "random", "urandom", "stdin", "stdout", "stderr"}


def is_privileged(container: Container) -> bool:
    return bool(container.security_context and container.security_context.privileged)


def base_spec(
    pod: Pod, container: Container, *, devices: Iterable[Device] = (), shm: Path | None = None
) -> Spec:
    """What does not depend on the container's image: its namespaces, the kernel's filesystems, what
    of them is hidden. `devices` are the machine's; `shm` is what the pod's containers share.

    Raise ConfigError for what is refused.
    """
    spec = default_spec()
    _refuse(pod, container)
    linux, mounts = spec.linux, spec.mounts
    if pids_of(pod, container) is not None:
        kept = tuple(each for each in linux.namespaces if each != Namespace(type="pid"))
        linux = msgspec.structs.replace(linux, namespaces=kept)
    if is_privileged(container):
        mounts = tuple(map(_writable, mounts))
        linux = msgspec.structs.replace(
            linux, masked_paths=(), readonly_paths=(), devices=tuple(devices), seccomp=None
        )
    if shm is not None:
        mounts = tuple(mount for mount in mounts if mount.destination != "/dev/shm")
        options = ("rbind", "rw", "nosuid", "nodev", "noexec")
        shared = Mount(destination="/dev/shm", type="bind", source=str(shm), options=options)
        mounts = (*mounts, shared)
    return msgspec.structs.replace(spec, mounts=mounts, linux=linux)


def _writable(mount: Mount) -> Mount:
    """/sys and its cgroups, which are shown read-only to others."""
    kept = tuple(option for option in mount.options if option != "ro")
    return msgspec.structs.replace(mount, options=kept)


def pids_of(pod: Pod, container: Container) -> str | None:
    """Whose pid namespace it is in, as Target.pids; None for one of its own. An ephemeral
    container's target is named by its container's name."""
    if pod.spec.host_pid:
        return ""
    if pod.spec.share_process_namespace:
        return "pod"
    if isinstance(container, EphemeralContainer) and container.target_container_name:
        return container.target_container_name
    return None


def held_capabilities(container: Container, held: int) -> tuple[str, ...]:
    """By name, in order. `held`: those that there are to give. Raise ConfigError."""
    context = container.security_context or SecurityContext()
    every = {cap_name(cap) for cap in CAP if held >> cap & 1}
    names = every if context.privileged else set(capabilities.DEFAULT)
    changes = context.capabilities
    if changes is not None:
        added, dropped = {_full(n) for n in changes.add}, {_full(n) for n in changes.drop}
        if "CAP_ALL" in dropped:
            names = set()
        if "CAP_ALL" in added:
            added |= every
        names = (names - dropped) | added - {"CAP_ALL"}
    try:
        return tuple(sorted(names, key=cap_number))
    except (KeyError, ValueError) as error:
        raise ConfigError(f"unknown capability: {error}") from error


def _full(name: str) -> str:
    return "CAP_" + name.upper().removeprefix("CAP_")


def is_filtered(pod: Pod, container: Container) -> bool:
    """Whether it is kept from the kernel's dangerous calls. Raise ConfigError."""
    context = container.security_context or SecurityContext()
    of_pod = pod.spec.security_context.seccomp_profile if pod.spec.security_context else None
    profile = context.seccomp_profile or of_pod
    kind = profile.type if profile else "RuntimeDefault"
    if kind not in ("RuntimeDefault", "Unconfined"):
        raise ConfigError(f"seccompProfile.type {kind!r} is not supported: use RuntimeDefault")
    return kind == "RuntimeDefault" and not context.privileged


def machine_devices(folder: Path = Path("/dev")) -> tuple[Device, ...]:
    """The nodes of character and block devices in the machine's /dev and its folders."""
    found = []
    for where, folders, files in os.walk(folder):
        if Path(where) == folder:
            folders[:] = [name for name in folders if name not in _OWN_NODES]
            files = [name for name in files if name not in _OWN_NODES]
        for name in files:
            path = Path(where, name)
            status = path.lstat()
            if not (stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
                continue
            device = Device(
                path="/dev/" + str(path.relative_to(folder)),
                type="c" if stat.S_ISCHR(status.st_mode) else "b",
                major=os.major(status.st_rdev),
                minor=os.minor(status.st_rdev),
                file_mode=stat.S_IMODE(status.st_mode),
                uid=status.st_uid,
                gid=status.st_gid,
            )
            found.append(device)
    return tuple(found)


def _refuse(pod: Pod, container: Container) -> None:
    context = container.security_context or SecurityContext()
    of_pod = pod.spec.security_context or PodSecurityContext()
    probes = (container.startup_probe, container.liveness_probe, container.readiness_probe)
    app_armor = context.app_armor_profile or of_pod.app_armor_profile
    refused = {
        'securityContext.procMount "Unmasked"': context.proc_mount == "Unmasked"
        and not context.privileged,
        "volumeDevices": container.volume_devices,
        "a grpc probe": any(probe is not None and probe.grpc for probe in probes),
        "hostUsers: false": pod.spec.host_users is False,
        "seLinuxOptions": context.se_linux_options or of_pod.se_linux_options,
        "appArmorProfile of type Localhost": app_armor.get("type") == "Localhost",
    }
    for what, asked in refused.items():
        if asked:
            raise ConfigError(f"{what} is not supported")
