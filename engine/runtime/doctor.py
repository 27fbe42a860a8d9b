"""What a machine can and cannot do, judged group by group: a table of checks. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from engine.linux.flags import CAP
from engine.runtime.checks import Check, State, need, there, want
from engine.runtime.features import Features
from engine.runtime.machine import CALLS, Machine, has
from engine.runtime.needs import needed
from engine.runtime.rootless.checks import delegated, rootless

_GIB = 1 << 30
_LITTLE_SPACE, _NO_SPACE = 2 * _GIB, _GIB // 4
_LITTLE_MEMORY = 2 * _GIB
_FEW_INODES = 100_000
# The keeper holds three descriptors of a container, the engine up to nine.
_FILES_PER_CONTAINER, _FEW_FILES, _NO_FILES = 12, 4096, 512
_FEW_NAMESPACES, _FEW_PROCESSES, _FEW_WATCHERS = 1000, 16384, 64
_FILESYSTEMS = ("proc", "sysfs", "tmpfs", "devpts", "mqueue")
_PYTHON, _KUBECTL = (3, 11), (1, 31)
_BREAKS_OUT = "mend what forbids it, or leave the container that this is: docker run --privileged"


def runs(checks: list[Check]) -> bool:
    """Whether clusters can run."""
    return all(check.state is not State.MISSING for check in checks)


def examine(found: Features, machine: Machine) -> list[Check]:
    """Every check there is, group by group."""
    more = (
        *_kernel(machine),
        *_cgroups(found, machine),
        *_namespaces(machine),
        *_filesystems(found, machine),
        *_network(machine),
        *_security(machine),
        *_limits(machine),
        *_tools(machine),
    )
    checks = [*needed(found), *more]
    groups = list(dict.fromkeys(check.group for check in more))
    return sorted(checks, key=lambda check: groups.index(check.group))


def _kernel(machine: Machine) -> Iterator[Check]:
    absent = [name for name in CALLS if name not in machine.calls]
    yield need(
        "kernel",
        "system calls",
        not absent,
        f"without {', '.join(absent)}" if absent else ", ".join(CALLS),
        "containers are made with them, and paths inside them resolved safely",
        "inside a container: docker run --privileged; otherwise a newer kernel",
    )
    yield want(
        "kernel",
        "exit codes by pidfd",
        machine.pidfd_exit,
        "PIDFD_GET_INFO" if machine.pidfd_exit else "not there",
        "how a container ended is known to its keeper alone, and lost if that is killed",
        "Linux 6.15 or newer",
    )
    yield want(
        "kernel",
        "pressure (PSI)",
        machine.pressure,
        "on" if machine.pressure else "off",
        "how long tasks wait for CPU, memory and disk cannot be told",
        "boot with psi=1 on the kernel's command line (kernel option CONFIG_PSI)",
    )


def _cgroups(found: Features, machine: Machine) -> Iterator[Check]:
    if found.ordinary is not None:
        yield delegated(found.ordinary)
        if not found.ordinary.delegated:
            return
    unified = found.hierarchy in ("v2", "hybrid")
    mount = "sudo mkdir /sys/fs/cgroup/unified; sudo mount -t cgroup2 none /sys/fs/cgroup/unified"
    yield want(
        "cgroups",
        "cgroup.kill",
        unified and found.kernel >= (5, 14),
        there(unified),
        "a container is killed in passes, process by process, instead of by one write",
        mount,
    )
    yield want(
        "cgroups",
        "CLONE_INTO_CGROUP",
        unified,
        there(unified),
        "a process enters its cgroups after its birth, tree by tree",
        mount,
    )
    yield want(
        "cgroups",
        "device control",
        machine.controls_devices,
        there(machine.controls_devices),
        "a container that may make device nodes (CAP_MKNOD) can open any of the machine's",
        "give no container CAP_MKNOD; "
        + (
            "a kernel with CONFIG_CGROUP_BPF (Linux 4.15)"
            if unified
            else "v1's devices controller: cgroup_enable=devices at boot"
        ),
    )
    yield want(
        "cgroups",
        "swap accounting",
        machine.swap_bounded,
        "yes, or no swap" if machine.swap_bounded else "no",
        "a container at its memory limit goes on into swap",
        "boot with swapaccount=1, or sudo swapoff -a",
    )


def _namespaces(machine: Machine) -> Iterator[Check]:
    yield want(
        "namespaces",
        "user namespaces",
        machine.user_namespaces,
        "for everyone" if machine.user_namespaces else "not for everyone",
        "containers cannot have ids of their own, nor ordinary users containers",
        "sudo sysctl user.max_user_namespaces=65536"
        " kernel.apparmor_restrict_unprivileged_userns=0 (where it exists)",
    )
    yield want(
        "namespaces",
        "time namespaces",
        machine.time_namespaces,
        there(machine.time_namespaces),
        "containers share the machine's monotonic and boot clocks",
        "a kernel with CONFIG_TIME_NS (Linux 5.6)",
    )
    yield want(
        "namespaces",
        "how many at once",
        machine.namespaces >= _FEW_NAMESPACES,
        f"{machine.namespaces:,} of the scarcest kind",
        "each pod takes one of most kinds",
        "sudo sysctl user.max_net_namespaces=65536 (and _mnt_, _pid_, _ipc_, _uts_, _cgroup_)",
    )


def _filesystems(found: Features, machine: Machine) -> Iterator[Check]:
    yield want(
        "filesystems",
        "overlay, layer by layer",
        found.overlay_append,
        "lowerdir+" if found.overlay_append else "in one page",
        "images of some fifty layers and more cannot be mounted: their names must fit a page",
        "Linux 6.8 or newer",
    )
    yield want(
        "filesystems",
        "overlay, userxattr",
        machine.userxattr,
        there(machine.userxattr),
        "ordinary users' containers cannot hide what a lower layer has",
        "Linux 5.11 or newer",
    )
    yield need(
        "filesystems",
        "overlay in PODARIUM_HOME",
        None if machine.upper is None else not machine.upper,
        f"{machine.home} ({machine.home_type}): {machine.upper or 'holds containers'}",
        f"what containers write cannot be kept on {machine.home_type}",
        "PODARIUM_HOME on ext4, xfs, btrfs or tmpfs",
    )
    absent = [name for name in _FILESYSTEMS if name not in machine.filesystems]
    yield need(
        "filesystems",
        "what a container sees",
        not absent,
        f"without {', '.join(absent)}" if absent else ", ".join(_FILESYSTEMS),
        "each is mounted in every container",
        "a kernel with CONFIG_POSIX_MQUEUE, CONFIG_TMPFS, CONFIG_SYSFS and CONFIG_UNIX98_PTYS",
    )
    yield want(
        "filesystems",
        "erofs images from files",
        machine.erofs_files,
        there(machine.erofs_files),
        "a layer cannot be mounted as the file it comes in; it is unpacked",
        "Linux 6.12 with CONFIG_EROFS_FS_BACKED_BY_FILE (sudo modprobe erofs)"
        + (", and root" if found.ordinary is not None else ""),
    )
    yield want(
        "filesystems",
        "id-mapped mounts",
        machine.idmapped,
        f"{machine.home_type}: {there(machine.idmapped)}",
        "volumes cannot be shown with other owners",
        "ext4 or xfs with Linux 5.12, btrfs 5.15, tmpfs 6.3"
        + (", and root" if found.ordinary is not None else ""),
    )
    yield _space(machine)
    yield want(
        "filesystems",
        "inodes",
        machine.free_inodes >= _FEW_INODES,
        "plenty" if machine.free_inodes >= _FEW_INODES else f"{machine.free_inodes:,} left",
        "an unpacked image takes thousands: pulls will fail for want of them, not of bytes",
        f"remove small files near {machine.home}, or another PODARIUM_HOME",
    )
    yield need(
        "filesystems",
        "socket paths",
        not machine.socket,
        machine.socket or "short enough",
        "a unix socket's path holds 107 bytes",
        "a shorter PODARIUM_HOME",
    )


def _space(machine: Machine) -> Check:
    check = need if machine.free < _NO_SPACE else want
    return check(
        "filesystems",
        "free space",
        machine.free >= _LITTLE_SPACE,
        f"{machine.free / _GIB:.1f} GiB",
        "images, volumes and logs will fill it, and pods be evicted",
        f"free some near {machine.home}, or another PODARIUM_HOME",
    )


def _network(machine: Machine) -> Iterator[Check]:
    yield need(
        "network",
        "nf_tables, masquerade",
        None if machine.nat is None else not machine.nat,
        machine.nat or "there",
        "pods reach the outside, and strangers not the pods, by its rules",
        "sudo modprobe nft_masq nft_ct (CONFIG_NF_TABLES, CONFIG_NFT_MASQ, CONFIG_NFT_CT)",
    )
    yield need(
        "network",
        "forwarding",
        machine.forwarding,
        "can be switched" if machine.forwarding else "/proc/sys is read-only",
        "packets between pods, nodes and the outside are passed on by the machine",
        _BREAKS_OUT,
    )
    yield want(
        "network",
        "/dev/net/tun",
        machine.tun,
        "usable" if machine.tun else "not for this user",
        "without root, pasta and slirp4netns have no way out for pods (pasta hangs silently)",
        "sudo modprobe tun; sudo chmod 0666 /dev/net/tun",
    )


def _security(machine: Machine) -> Iterator[Check]:
    raises = has(machine.capabilities, CAP.SYS_RESOURCE)
    yield want(
        "security",
        "CAP_SYS_RESOURCE",
        raises,
        "held" if raises else "not held",
        "limits cannot be raised beyond this shell's, nor a pod be spared by the OOM killer",
        "run it with all of root's capabilities (docker run --privileged)",
    )
    yield want(
        "security",
        "seccomp log action",
        machine.seccomp_log,
        there(machine.seccomp_log),
        "profiles that only log what they would forbid are refused",
        "Linux 4.14 or newer with CONFIG_SECCOMP_FILTER and CONFIG_AUDIT",
    )
    yield want(
        "security",
        "Landlock",
        machine.landlock > 0,
        f"ABI {machine.landlock}" if machine.landlock else "off",
        "programs in containers that confine themselves further cannot, nor is what unpacks layers",
        "boot with lsm=landlock,... on the kernel's command line (CONFIG_SECURITY_LANDLOCK)",
    )
    yield want(
        "security",
        "SELinux",
        not machine.selinux,
        "enforcing" if machine.selinux else "not enforcing",
        "containers get no label, so its policy may refuse what they do",
        "sudo setenforce 0, or a policy for /var/lib/podarium",
    )


def _limits(machine: Machine) -> Iterator[Check]:
    files = machine.open_files
    check = need if files < _NO_FILES else want
    yield check(
        "limits",
        "open files",
        files >= _FEW_FILES,
        f"{files:,}: some {files // _FILES_PER_CONTAINER:,} containers",
        "every container takes a dozen descriptors of engine and keeper",
        "ulimit -n 65536 (hard), LimitNOFILE= of the service, or nofile in limits.conf(5)",
    )
    yield want(
        "limits",
        "inotify instances",
        machine.inotify >= _FEW_WATCHERS,
        f"{machine.inotify:,}",
        "each log that is followed takes one, and so do programs in containers",
        "sudo sysctl fs.inotify.max_user_instances=1024",
    )
    yield want(
        "limits",
        "processes",
        machine.processes >= _FEW_PROCESSES,
        f"{machine.processes:,}",
        "all containers share the machine's process ids",
        "sudo sysctl kernel.pid_max=4194304; ulimit -u unlimited",
    )
    yield want(
        "limits",
        "memory",
        machine.memory >= _LITTLE_MEMORY,
        f"{machine.memory / _GIB:.1f} GiB",
        "three nodes with a few pods fill it",
        "podarium up --nodes 1",
    )


def _tools(machine: Machine) -> Iterator[Check]:
    yield need(
        "tools",
        "Python 3.11 or newer",
        machine.python >= _PYTHON,
        ".".join(map(str, machine.python)),
        "Podarium is written in it",
        "install a newer one, and Podarium into it",
    )
    yield _kubectl(machine)
    yield from rootless(machine)
    yield want(
        "tools",
        "terminal, UTF-8",
        machine.encoding.replace("-", "") == "utf8",
        machine.encoding,
        "lines, bars and glyphs of the dashboard come out garbled",
        "export LANG=C.UTF-8",
    )
    shown = "none here" if not machine.colours else f"{machine.colours:,}"
    yield want(
        "tools",
        "terminal, colours",
        machine.colours >= 256 or machine.colours == 0,
        shown,
        "the dashboard's themes are drawn with the sixteen that are there",
        "export TERM=xterm-256color COLORTERM=truecolor, if the terminal can",
    )


def _kubectl(machine: Machine) -> Check:
    version = tuple(map(int, machine.kubectl.lstrip("v").split(".")[:2])) if machine.kubectl else ()
    where = machine.tools.get("kubectl")
    return want(
        "tools",
        "kubectl 1.31 or newer",
        version >= _KUBECTL,
        machine.kubectl or ("does not tell its version" if where else "not in PATH"),
        "clusters are driven by podarium's own commands and dashboard alone",
        "https://kubernetes.io/docs/tasks/tools (one file)",
    )
