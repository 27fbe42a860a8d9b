"""What a container is to be: the part of the OCI runtime specification that we honour.

The Structs are the specification's own objects (github.com/opencontainers/runtime-spec, config.md)
with its JSON names, immutable, so that a Spec can be compared, hashed and shared. A field that is
absent here is one that we would not obey.
"""

import msgspec

from engine.runtime import capabilities
from engine.runtime.profile import default_profile
from engine.runtime.seccomp import LinuxSeccomp


class OCI(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Base of every object of the specification."""


class User(OCI, frozen=True):
    """Numeric ids inside the container; names are looked up by whoever writes the Spec."""

    uid: int = 0
    gid: int = 0
    umask: int = 0o022
    additional_gids: tuple[int, ...] = ()


class Capabilities(OCI, frozen=True):
    """capabilities(7), by name ("CAP_CHOWN")."""

    bounding: tuple[str, ...] = ()
    effective: tuple[str, ...] = ()
    inheritable: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()


class Rlimit(OCI, frozen=True):
    """setrlimit(2); `type` as "RLIMIT_NOFILE"."""

    type: str
    soft: int
    hard: int


class Process(OCI, frozen=True):
    """The container's first process. `args[0]` is looked up in the PATH of `env`."""

    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: User = User()
    capabilities: Capabilities = Capabilities()
    rlimits: tuple[Rlimit, ...] = ()
    no_new_privileges: bool = False
    terminal: bool = False
    oom_score_adj: int | None = None


class Root(OCI, frozen=True):
    """The root filesystem, which the Target's layers make up."""

    readonly: bool = False


class Mount(OCI, frozen=True):
    """A filesystem, or a bind mount (options "bind" or "rbind") of `source`.

    Options are mount(8)'s flags ("ro", "nosuid", ...); others go to the filesystem. `below` is
    ours: the part of a bind's source that is shown, resolved inside it at the moment of the mount,
    so that no symlink in a volume leads out (CVE-2017-1002101, CVE-2021-25741).
    """

    destination: str
    type: str = ""
    source: str = ""
    below: str = ""
    options: tuple[str, ...] = ()


class Namespace(OCI, frozen=True):
    """`type`: pid, mount and cgroup are made new; network, ipc and uts are the sandbox's."""

    type: str


class Device(OCI, frozen=True):
    """A device node beyond the default ones; `type` is "c" or "b"."""

    path: str
    type: str
    major: int
    minor: int
    file_mode: int = 0o666
    uid: int = 0
    gid: int = 0


class Linux(OCI, frozen=True):
    namespaces: tuple[Namespace, ...] = ()
    devices: tuple[Device, ...] = ()
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    seccomp: LinuxSeccomp | None = None


class Spec(OCI, frozen=True):
    """config.json."""

    oci_version: str = "1.2.0"
    process: Process = Process()
    root: Root = Root()
    mounts: tuple[Mount, ...] = ()
    linux: Linux = Linux()


DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAMESPACES = ("pid", "mount", "cgroup", "network", "ipc", "uts")

MOUNTS = (
    Mount(destination="/proc", type="proc", source="proc", options=("nosuid", "noexec", "nodev")),
    Mount(
        destination="/dev",
        type="tmpfs",
        source="tmpfs",
        options=("nosuid", "strictatime", "mode=755", "size=65536k"),
    ),
    Mount(
        destination="/dev/pts",
        type="devpts",
        source="devpts",
        options=("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
    ),
    Mount(
        destination="/dev/shm",
        type="tmpfs",
        source="shm",
        options=("nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
    ),
    Mount(
        destination="/dev/mqueue",
        type="mqueue",
        source="mqueue",
        options=("nosuid", "noexec", "nodev"),
    ),
    Mount(
        destination="/sys",
        type="sysfs",
        source="sysfs",
        options=("nosuid", "noexec", "nodev", "ro"),
    ),
    Mount(
        destination="/sys/fs/cgroup",
        type="cgroup",
        source="cgroup",
        options=("nosuid", "noexec", "nodev", "ro"),
    ),
)

# Kernel state that belongs to the machine, not to the container: secrets (keys, kcore), side
# channels (pages, timers, power, thermal), firmware, and what its own root could write.
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/dynamic_debug",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/kpagecgroup",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def default_spec(
    args: tuple[str, ...] = (),
    *,
    env: tuple[str, ...] = (f"PATH={DEFAULT_PATH}",),
    cwd: str = "/",
    user: User | None = None,
) -> Spec:
    """What `docker run` gives: its mounts, paths, capabilities (without MKNOD) and seccomp profile.

    Stricter in one thing: no_new_privileges is set. A user other than root has no capability, as a
    program it executes could not keep any.
    """
    user = user or User()
    held = capabilities.DEFAULT if user.uid == 0 else ()
    return Spec(
        process=Process(
            args=args,
            env=env,
            cwd=cwd,
            user=user,
            capabilities=Capabilities(
                bounding=capabilities.DEFAULT, effective=held, permitted=held
            ),
            no_new_privileges=True,
        ),
        mounts=MOUNTS,
        linux=Linux(
            namespaces=tuple(Namespace(type=type_) for type_ in NAMESPACES),
            masked_paths=MASKED_PATHS,
            readonly_paths=READONLY_PATHS,
            seccomp=default_profile(capabilities.DEFAULT),
        ),
    )
