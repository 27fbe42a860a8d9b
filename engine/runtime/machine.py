"""The rest of what there is to know of a machine, beyond what a container start asks for.

Features are what containers need; these are what makes them faster, safer or more of them, and what
only some uses need. Everything here is for a person to read, so it may take a moment.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.home import DEFAULT_CLUSTER, ClusterPaths, HomeError
from engine.linux.call import syscall
from engine.linux.flags import CAP
from engine.linux.pidfd import pidfd_open
from engine.linux.process import capget
from engine.runtime import trials
from engine.runtime.cgroup.api import detect
from engine.runtime.features import kernel

# Each call with arguments that no kernel takes: one that knows it says so, and does nothing.
_CALLS: dict[str, tuple[int | None, ...]] = {
    "clone3": (None, 0),
    "close_range": (1, 0, 0),
    "openat2": (-1, None, None, 0),
    "pidfd_open": (-1, 0),
    "fsopen": (None, ~0),
    "move_mount": (-1, None, -1, None, ~0),
    "mount_setattr": (-1, None, ~0, None, 0),
}
CALLS = tuple(_CALLS)
TOOLS = ("kubectl", "newuidmap", "newgidmap", "pasta", "slirp4netns")

# _IOWR(PIDFS_IOCTL_MAGIC, 11, struct pidfd_info) of <linux/pidfd.h>; how a process that has been
# reaped ended is told since 6.15.
_PIDFD_GET_INFO, _PIDFD_INFO_SIZE = 0xC040FF0B, 64
_PIDFD_EXIT_SINCE = (6, 15)
_LANDLOCK_CREATE_RULESET_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Machine:
    """None: only root can tell. Sizes in bytes.

    calls           of CALLS those that the kernel answers
    landlock        the ABI's version, 0 without
    upper           why HOME's filesystem cannot hold a container's own layer; "" when it can
    nat             why there is no way out of the cluster; "" when there is
    socket          why a cluster's sockets cannot be made below HOME; "" when they can
    namespaces      how many of the scarcest kind a user may have at once
    tools           where each of TOOLS is, for those that are there
    kubectl         its version, "" when it is not there or does not tell
    """

    release: str
    calls: frozenset[str]
    pidfd_exit: bool
    pressure: bool
    controls_devices: bool | None
    swap_bounded: bool
    namespaces: int
    user_namespaces: bool
    time_namespaces: bool
    filesystems: frozenset[str]
    userxattr: bool | None
    erofs_files: bool | None
    idmapped: bool | None
    upper: str | None
    home: Path
    home_type: str
    free: int
    free_inodes: int
    socket: str
    forwarding: bool | None
    nat: str | None
    tun: bool
    capabilities: int
    seccomp_log: bool
    landlock: int
    selinux: bool
    open_files: int
    inotify: int
    processes: int
    memory: int
    python: tuple[int, int]
    tools: dict[str, str]
    kubectl: str
    subordinate: bool
    encoding: str
    colours: int


def look(home: Path, *, root: bool, nat: Callable[[], str]) -> Machine:
    """Ask and try everything; `nat` tries what Machine.nat tells, when we are `root`.

    Nothing is left behind.
    """
    ground = _existing(home)
    space = os.statvfs(ground)
    tools = {name: found for name in TOOLS if (found := shutil.which(name))}
    return Machine(
        release=platform.release(),
        calls=frozenset(name for name in CALLS if _answers(name)),
        pidfd_exit=_pidfd_exit(),
        pressure=_pressure(),
        controls_devices=_controls_devices(root),
        swap_bounded=_swap_bounded(),
        namespaces=_namespaces(),
        user_namespaces=_user_namespaces(),
        time_namespaces=os.path.exists("/proc/self/ns/time"),
        filesystems=frozenset(line.split()[-1] for line in _lines("/proc/filesystems")),
        userxattr=trials.userxattr() if root else None,
        erofs_files=trials.erofs_files(ground) if root else None,
        idmapped=trials.idmapped(ground) if root else None,
        upper=trials.upper(ground) if root else None,
        home=home,
        home_type=_type_of(ground),
        free=space.f_bavail * space.f_frsize,
        free_inodes=space.f_favail if space.f_files else sys.maxsize,
        socket=_socket(home),
        forwarding=os.access("/proc/sys/net/ipv4/conf/all/forwarding", os.W_OK) if root else None,
        nat=nat() if root else None,
        tun=os.access("/dev/net/tun", os.R_OK | os.W_OK),
        capabilities=capget()[0],
        seccomp_log="log" in _words("/proc/sys/kernel/seccomp/actions_avail"),
        landlock=_landlock(),
        selinux=_words("/sys/fs/selinux/enforce") == ["1"],
        open_files=_limit(resource.RLIMIT_NOFILE),
        inotify=_number("/proc/sys/fs/inotify/max_user_instances"),
        processes=_processes(),
        memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        python=sys.version_info[:2],
        tools=tools,
        kubectl=_kubectl(tools["kubectl"]) if "kubectl" in tools else "",
        subordinate=_subordinate("/etc/subuid") and _subordinate("/etc/subgid"),
        encoding=(sys.stdout.encoding or "ascii").lower(),
        colours=_colours(),
    )


def _existing(path: Path) -> Path:
    """The folder in which `path` is, or would be made."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _answers(name: str) -> bool:
    try:
        syscall(name, *_CALLS[name], about=name)
    except OSError as error:
        # EPERM is the answer of another container's seccomp filter.
        refused = error.errno == errno.EPERM and os.geteuid() == 0
        return error.errno != errno.ENOSYS and not refused
    return True


def _pidfd_exit() -> bool:
    try:
        pidfd = pidfd_open(os.getpid())
    except OSError:
        return False
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, bytearray(_PIDFD_INFO_SIZE))
    except OSError:
        return False
    finally:
        os.close(pidfd)
    return kernel() >= _PIDFD_EXIT_SINCE


def _pressure() -> bool:
    # There with PSI switched off, too: then it cannot be opened.
    return bool(_lines("/proc/pressure/memory"))


def _controls_devices(root: bool) -> bool | None:
    """None when only root can tell."""
    try:
        hierarchy = detect()
    except OSError:
        return False
    return hierarchy.controls_devices or (None if hierarchy.filters_devices and not root else False)


def _swap_bounded() -> bool:
    """Whether what a container may swap is limited; without swap there is nothing to limit."""
    if len(_lines("/proc/swaps")) < 2:
        return True
    try:
        return any(
            directory.endswith(b"/podarium")
            and os.path.exists(os.path.dirname(directory) + b"/memory.memsw.limit_in_bytes")
            for directory in detect().directories(b"podarium")
        ) or any(Path("/sys/fs/cgroup").glob("*/memory.swap.max"))
    except OSError:
        return False


def _namespaces() -> int:
    kinds = ("cgroup", "ipc", "mnt", "net", "pid", "uts")
    return min(_number(f"/proc/sys/user/max_{kind}_namespaces") for kind in kinds)


def _user_namespaces() -> bool:
    return (
        os.path.exists("/proc/self/ns/user")
        and _number("/proc/sys/user/max_user_namespaces") > 0
        and _words("/proc/sys/kernel/unprivileged_userns_clone") != ["0"]
        and _words("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") != ["1"]
    )


def _type_of(folder: Path) -> str:
    """Of the filesystem that holds it: the mount with the longest path above it."""
    best, type_ = "", ""
    for line in _lines("/proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        at = before.split(" ")[4]
        if len(at) >= len(best) and folder.is_relative_to(at):
            best, type_ = at, after.split(" ")[0]
    return type_


def _socket(home: Path) -> str:
    try:
        ClusterPaths.of(home, DEFAULT_CLUSTER)
    except HomeError as error:
        return str(error)
    return ""


def _landlock() -> int:
    arguments = (None, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    try:
        return syscall("landlock_create_ruleset", *arguments, about="landlock")
    except OSError:
        return 0


def _processes() -> int:
    return min(
        _limit(resource.RLIMIT_NPROC),
        _number("/proc/sys/kernel/pid_max"),
        _number("/proc/sys/kernel/threads-max"),
    )


def has(mask: int, capability: CAP) -> bool:
    """Whether a set of capabilities(7) holds one."""
    return bool(mask >> capability & 1)


def _kubectl(path: str) -> str:
    command = [path, "version", "--client", "--output=json"]
    try:
        told = subprocess.run(command, capture_output=True, timeout=10, check=True).stdout
        return str(json.loads(told)["clientVersion"]["gitVersion"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return ""


def _subordinate(file: str) -> bool:
    """Whether the user who asks, be it through sudo, has ids to give to containers: subuid(5)."""
    uid = os.environ.get("SUDO_UID") or str(os.getuid())
    names = {uid, os.environ.get("SUDO_USER") or os.environ.get("USER") or uid}
    return any(line.split(":")[0] in names for line in _lines(file))


def _colours() -> int:
    """How many the terminal shows, by what it is called."""
    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return 0
    if os.environ.get("COLORTERM") in ("truecolor", "24bit"):
        return 1 << 24
    return 256 if "256color" in os.environ["TERM"] else 16


def _limit(which: int) -> int:
    hard = resource.getrlimit(which)[1]
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def _number(file: str) -> int:
    words = _words(file)
    return int(words[0]) if words else 0


def _words(file: str) -> list[str]:
    return [word for line in _lines(file) for word in line.split()]


def _lines(file: str) -> list[str]:
    """Of a file that this kernel may not have, or not let us read: then none."""
    try:
        return Path(file).read_text().splitlines()
    except OSError:
        return []
