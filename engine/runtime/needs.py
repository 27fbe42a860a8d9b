"""What clusters cannot do without, judged as quickly as Features are told."""

from __future__ import annotations

from collections.abc import Iterator

from engine.runtime.checks import Check, State, need, there
from engine.runtime.features import CONTROLLERS, KERNEL, LINKS, NAMESPACES, Features, probe


def missing() -> list[Check]:
    """What keeps this process from running containers; empty when nothing does."""
    return [check for check in needed(probe()) if check.state is State.MISSING]


def needed(found: Features) -> Iterator[Check]:
    """A check of each thing that every container start takes."""
    version = ".".join(map(str, found.kernel))
    least = ".".join(map(str, KERNEL))
    yield need(
        "kernel",
        f"Linux {least} or newer",
        found.kernel >= KERNEL,
        version,
        f"this kernel is {version}; containers are ended and sealed with what came by {least}",
        "upgrade: Debian 12, Ubuntu 22.04, Fedora 34, RHEL 9 or newer have it",
    )
    yield _needed_power(found)
    yield need(
        "filesystems",
        "overlay",
        found.overlay,
        there(found.overlay),
        "it joins an image's layers into one root filesystem",
        "sudo modprobe overlay (kernel option CONFIG_OVERLAY_FS)",
    )
    for name in NAMESPACES:
        yield need(
            "namespaces",
            f"{name} namespaces",
            name in found.namespaces,
            there(name in found.namespaces),
            "they are what sets a container apart",
            "a kernel with CONFIG_NAMESPACES and what is below it",
        )
    yield need(
        "security",
        "seccomp filters",
        found.seccomp,
        there(found.seccomp),
        "they keep a container from the kernel's dangerous calls",
        "a kernel with CONFIG_SECCOMP_FILTER",
    )
    yield from _needed_cgroups(found)
    for kind in LINKS:
        yield need(
            "network",
            f"{kind} devices",
            None if found.links is None else kind in found.links,
            there(found.links is not None and kind in found.links),
            "they connect pods to their node",
            f"sudo modprobe {kind} (kernel option CONFIG_{kind.upper()})",
        )


def _needed_power(found: Features) -> Check:
    """Root, or what an ordinary user can have instead."""
    if found.ordinary is not None:
        return need(
            "security",
            "a user namespace",
            not found.ordinary.forbidden,
            "without root" if not found.ordinary.forbidden else "forbidden",
            "without root, namespaces and mounts are only had inside one",
            found.ordinary.forbidden or "nothing to do",
        )
    return need(
        "security",
        "root",
        found.root,
        "with its capabilities" if found.root else "not now",
        "namespaces, mounts and cgroups are the machine's to give",
        "run it as root: sudo -E podarium ... (in a container: docker run --privileged)",
    )


def _needed_cgroups(found: Features) -> Iterator[Check]:
    yield need(
        "cgroups",
        "hierarchy",
        bool(found.hierarchy),
        found.hierarchy or "none",
        "no cgroup filesystem is mounted at /sys/fs/cgroup",
        "sudo mount -t cgroup2 none /sys/fs/cgroup",
    )
    if not found.hierarchy or found.hierarchy == "none" or found.ordinary is not None:
        return  # an ordinary user does without: see doctor.py
    for controller in CONTROLLERS:
        name = controller.decode()
        boot = "cgroup_enable=memory swapaccount=1" if name == "memory" else "the controller on"
        yield need(
            "cgroups",
            f"{name} controller",
            controller in found.controllers,
            there(controller in found.controllers),
            f"limits and usage come from it ({found.hierarchy} hierarchy)",
            f"boot with {boot} on the kernel's command line (/proc/cgroups shows which are off);"
            " in a container: have the controller delegated to it",
        )
    yield need(
        "cgroups",
        "writable",
        found.cgroups_writable if found.root else None,
        "yes" if found.cgroups_writable else "no",
        "/sys/fs/cgroup is read-only here: is this a container itself?",
        "docker run --privileged --cgroupns=host, or run it on the machine",
    )
    yield need(
        "cgroups",
        "a root without processes",
        not found.cgroups_crowded,
        "no" if found.cgroups_crowded else "yes",
        "/sys/fs/cgroup has processes of its own, so v2 can limit nothing below it:"
        " is this a container itself?",
        "docker run --privileged --cgroupns=host; or, as root: mkdir /sys/fs/cgroup/init;"
        " xargs -rn1 < /sys/fs/cgroup/cgroup.procs > /sys/fs/cgroup/init/cgroup.procs",
    )
