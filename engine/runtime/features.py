"""What this machine can and cannot do for containers, asked once.

Where the kernel can be asked it is asked; its version is believed only for what cannot be tried.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass

from engine.linux import netlink
from engine.linux.flags import CAP, CLONE
from engine.linux.mount import fsconfig_set_string, fsopen
from engine.linux.namespace import unshare
from engine.linux.process import capget
from engine.runtime.cgroup import delegation

# mount_setattr(2) came with 5.12, cgroup.kill with 5.14.
KERNEL = (5, 14)
_APPEND_SINCE = (6, 8)
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "uts")
CONTROLLERS = (b"cpu", b"memory", b"pids")
LINKS = ("bridge", "veth")

# <linux/rtnetlink.h>, <linux/if_link.h>: make a link of a kind, exclusively.
_RTM_NEWLINK, _CREATE_EXCL = 16, 0x600
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_INFO_KIND = 3, 18, 1


@dataclass(frozen=True, kw_only=True)
class Ordinary:
    """A user who is not root: what containers take he has in a user namespace, or not at all.

    forbidden   what keeps him from having one, with the cure; "" when nothing does
    ids         how many users and groups his containers may have
    one_id      why that is one; "" when it is more
    delegated   whether there is a part of the v2 tree that is his
    """

    forbidden: str
    ids: int
    one_id: str
    delegated: bool


@dataclass(frozen=True)
class Features:
    """`links` are the kinds of network device that can be made; None: only root can tell.

    `ordinary`: who asked, if not root; the rest was then found out in namespaces of his.
    """

    kernel: tuple[int, int]
    root: bool
    overlay: bool
    overlay_append: bool
    seccomp: bool
    namespaces: frozenset[str]
    hierarchy: str
    controllers: frozenset[bytes]
    cgroups_writable: bool
    cgroups_crowded: bool
    links: frozenset[str] | None
    ordinary: Ordinary | None = None


@functools.cache
def probe() -> Features:
    """Ask the kernel; nothing is left behind. Takes a few milliseconds, the first time."""
    root = _root()
    try:
        hierarchy = delegation.hierarchy()
    except OSError:
        hierarchy = None
    return Features(
        kernel=kernel(),
        root=root,
        overlay=_overlay(root),
        overlay_append=overlay_append(),
        seccomp=os.path.exists("/proc/sys/kernel/seccomp/actions_avail"),
        namespaces=frozenset(n for n in NAMESPACES if os.path.exists(f"/proc/self/ns/{n}")),
        hierarchy=hierarchy.name if hierarchy else "",
        controllers=hierarchy.controllers if hierarchy else frozenset(),
        cgroups_writable=hierarchy is not None
        and all(
            os.access(os.path.dirname(directory), os.W_OK) and not _read_only(directory)
            for directory in hierarchy.directories(b"podarium")
        ),
        cgroups_crowded=hierarchy is not None and delegation.crowded(hierarchy),
        links=frozenset(kind for kind in LINKS if _can_make(kind)) if root else None,
    )


def kernel() -> tuple[int, int]:
    """Its version, as (6, 1)."""
    found = re.match(r"(\d+)\.(\d+)", platform.release())
    return (int(found[1]), int(found[2])) if found else (0, 0)


@functools.cache
def overlay_append() -> bool:
    """Whether overlay takes its layers one by one, so that a page no longer limits their number."""
    try:
        fs = fsopen(b"overlay")
    except OSError:
        return kernel() >= _APPEND_SINCE
    try:
        return _knows(fs, b"lowerdir+") and not _knows(fs, b"no-such-option")
    finally:
        os.close(fs)


def _knows(fs: int, option: bytes) -> bool:
    """Whether overlay takes an option. Before 6.5 it takes all, and looks at them when mounted."""
    try:
        fsconfig_set_string(fs, option, b"/")
    except OSError:
        return False
    return True


def _root() -> bool:
    effective, _, _ = capget()
    needed = (CAP.SYS_ADMIN, CAP.NET_ADMIN, CAP.SETUID, CAP.SETGID, CAP.SETPCAP, CAP.MKNOD)
    return os.geteuid() == 0 and all(effective >> capability & 1 for capability in needed)


def _overlay(root: bool) -> bool:
    if root:
        try:
            # This loads the module, where it is one.
            os.close(fsopen(b"overlay"))
        except OSError:
            return False
        return True
    release = platform.release()
    with open("/proc/filesystems") as file:
        known = "\toverlay\n" in file.read()
    return known or os.path.exists(f"/lib/modules/{release}/kernel/fs/overlayfs")


def _read_only(directory: bytes) -> bool:
    return bool(os.statvfs(os.path.dirname(directory)).f_flag & os.ST_RDONLY)


def _can_make(kind: str) -> bool:
    """Try, in a network namespace that goes with the thread which made it."""

    def attempt() -> bool:
        unshare(CLONE.NEWNET)
        info = _attribute(_IFLA_INFO_KIND, kind.encode())
        body = bytes(16) + _attribute(_IFLA_IFNAME, b"probe\0") + _attribute(_IFLA_LINKINFO, info)
        with netlink.connect() as sock:
            netlink.request(sock, netlink.Message(_RTM_NEWLINK, _CREATE_EXCL, body, kind))
        return True

    return _in_thread(attempt)


def _in_thread(attempt: Callable[[], bool]) -> bool:
    outcome = []

    def run() -> None:
        try:
            outcome.append(attempt())
        except OSError:
            outcome.append(False)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return outcome == [True]


def _attribute(type_: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), type_) + value + bytes(-len(value) % 4)
