"""What a cgroup hierarchy is to the rest of the engine: seven verbs on a relative path.

    create  limit  join  freeze  kill  sample  remove

A path such as b"podarium-default-1a2b3c/node-1/pod1/web" means the same cgroup whether the machine
keeps it in one tree (v2), in one tree for each controller (v1) or in both (hybrid). Processes live
only in the leaves, as v2 demands. Nothing outside the path that is given is ever changed, except
that v2 makes its ancestors hand their controllers down.

The keeper imports this: no dataclasses and no typing, whose imports cost more than all the rest.
"""

from __future__ import annotations

import errno
import os
import time
from abc import ABC, abstractmethod

from engine.runtime.cgroup import tree
from engine.runtime.cgroup.sampling import PressureSampler, Sample, Sampler

UNLIMITED = -1


class Resources:
    """The limits of one cgroup: a value, not to be changed.

    None leaves a setting alone, UNLIMITED (-1) lifts it.

    cpu_shares      relative CPU time under contention, 2 to 262144 (1024 is one CPU's worth)
    cpu_quota_us    CPU time in each cpu_period_us (1,000 to 1,000,000; 100,000 unless given)
    cpu_burst_us    CPU time that may be saved up beyond the quota
    cpu_idle        whether it runs only when nobody else wants to
    cpuset_cpus, cpuset_mems    as "0-3,7"; where detect() was told to use the cpuset controller
    memory_limit    bytes; swap is not given on top of it, unless memory_swap says so
    memory_swap     bytes of memory and swap together
    memory_low      bytes that are reclaimed last
    pids_limit      processes and threads
    devices         what may be opened, as "c 1:3 rwm", and with "!" before it what may not;
                    everything else may not. Only where the hierarchy `controls_devices`
    oom_group       whether the OOM killer ends the whole cgroup; v2 only, v1 kills one process
    unified         (file, value) of v2, as they are
    """

    __slots__ = (
        "cpu_burst_us",
        "cpu_idle",
        "cpu_period_us",
        "cpu_quota_us",
        "cpu_shares",
        "cpuset_cpus",
        "cpuset_mems",
        "devices",
        "memory_limit",
        "memory_low",
        "memory_swap",
        "oom_group",
        "pids_limit",
        "unified",
    )

    def __init__(
        self,
        *,
        cpu_shares: int | None = None,
        cpu_quota_us: int | None = None,
        cpu_period_us: int | None = None,
        cpu_burst_us: int | None = None,
        cpu_idle: bool | None = None,
        cpuset_cpus: str | None = None,
        cpuset_mems: str | None = None,
        memory_limit: int | None = None,
        memory_low: int | None = None,
        memory_swap: int | None = None,
        pids_limit: int | None = None,
        devices: tuple[str, ...] | None = None,
        oom_group: bool | None = None,
        unified: tuple[tuple[str, str], ...] | None = None,
    ) -> None:
        self.cpu_shares = cpu_shares
        self.cpu_quota_us = cpu_quota_us
        self.cpu_period_us = cpu_period_us
        self.cpu_burst_us = cpu_burst_us
        self.cpu_idle = cpu_idle
        self.cpuset_cpus = cpuset_cpus
        self.cpuset_mems = cpuset_mems
        self.memory_limit = memory_limit
        self.memory_low = memory_low
        self.memory_swap = memory_swap
        self.pids_limit = pids_limit
        self.devices = devices
        self.oom_group = oom_group
        self.unified = unified

    def fields(self) -> dict[str, object]:
        """Every setting by name, as the constructor takes them."""
        return {name: getattr(self, name) for name in self.__slots__}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Resources) and self.fields() == other.fields()

    def __hash__(self) -> int:
        return hash(tuple(self.fields().values()))

    def __repr__(self) -> str:
        given = (f"{k}={v!r}" for k, v in self.fields().items() if v is not None)
        return f"Resources({', '.join(given)})"


def detect(root: bytes = b"/sys/fs/cgroup", also: frozenset[bytes] = frozenset()) -> Hierarchy:
    """The hierarchy that this machine keeps at `root`: pure v2, v1, or both; or what stands for
    one in an ordinary user's namespaces (engine/runtime/rootless).

    `also`: controllers to use beyond those that every container is put under, as b"cpuset".

    Raise OSError(EOPNOTSUPP) when no cgroup filesystem is mounted there.
    """
    # Here, because they are made of what this module defines.
    from engine.runtime.cgroup import mounts, v1, v2
    from engine.runtime.cgroup.hybrid import Hybrid

    found, unified = mounts.parse(tree.read(b"/proc/self/mountinfo"), root)
    if unified == root:
        return v2.V2(root, also)
    used = (*v1.USED, *sorted(also))
    roots = {name: where for name, where in found.items() if name in used}
    if not roots:
        from engine.runtime.cgroup import none

        if none.is_root(root):
            return none.NoCgroups(root)
        text = "no cgroup filesystem is mounted here (mount -t cgroup2 none /sys/fs/cgroup)"
        raise OSError(errno.EOPNOTSUPP, text, root)
    return Hybrid(roots, unified, used) if unified else v1.V1(roots, used=used)


class Hierarchy(ABC):
    """One way of the kernel to keep cgroups. Stateless: any process may act on any path."""

    name: str
    """v1, v2, hybrid or none."""

    controllers: frozenset[bytes]
    """What can be limited here, of cpu, memory, pids, devices, ..."""

    filters_devices: bool = False
    """Whether Resources.devices are not writes(), but a program: see device_program()."""

    @property
    def controls_devices(self) -> bool:
        """Whether Resources.devices means something."""
        from engine.runtime.cgroup import devicefilter

        return self.filters_devices and devicefilter.loads()

    keeps_memory: bool = False
    """Whether keep_limits() does something, as it must where nobody else does."""

    @abstractmethod
    def directories(self, path: bytes) -> list[bytes]:
        """Every directory that together make the cgroup, whether it exists or not."""

    def directory_of(self, controller: bytes, path: bytes) -> bytes:
        """Where a controller has its files of the cgroup. Raise OSError where it is not used."""
        text = f"the {controller.decode()} cgroup controller is not available here"
        raise OSError(errno.EOPNOTSUPP, text, path)

    @abstractmethod
    def create(self, path: bytes) -> None:
        """Make a cgroup, and its ancestors, where missing."""

    @abstractmethod
    def writes(self, path: bytes, resources: Resources) -> list[tuple[bytes, bytes]]:
        """What limit() writes to a new cgroup, as (file, value), in order. Pure."""

    @abstractmethod
    def join_files(self, path: bytes) -> list[bytes]:
        """Where a single-threaded process born in directory_fd(path) still has to write b"0"."""

    @abstractmethod
    def freeze(self, path: bytes, frozen: bool) -> None:
        """Ask for every process of the subtree to stop, or to go on. See is_frozen()."""

    @abstractmethod
    def is_frozen(self, path: bytes) -> bool:
        """Whether every process has stopped."""

    @abstractmethod
    def kill(self, path: bytes) -> None:
        """SIGKILL to all of the subtree, frozen or forking; fine when it is gone. Does not wait."""

    @abstractmethod
    def sampler(self, path: bytes) -> Sampler:
        """Open the cgroup's counters, to be read again and again."""

    @abstractmethod
    def mounts(self) -> list[tuple[bytes, bytes, bytes]]:
        """What shows a container its own cgroups: (name below /sys/fs/cgroup, fstype, options)."""

    @abstractmethod
    def _process_tree(self) -> bytes:
        """The root of a tree that every process of ours is in."""

    def crowded(self) -> bool:
        """Whether processes in the root keep v2 from limiting anything below, as in a container."""
        return False

    def directory_fd(self, path: bytes) -> int | None:
        """A descriptor for CLONE_INTO_CGROUP, or None without a v2 tree."""
        return None

    def pressure(self, path: bytes) -> PressureSampler | None:
        """Open what tells how long its tasks waited; None where the kernel does not count that."""
        return None

    def take_back(self) -> list[bytes]:
        """Have v2's root no longer hand down what it did not before us; what others use by now
        stays, and is returned."""
        return []

    def device_program(self, resources: Resources) -> bytes:
        """What filter_devices() is to attach; b"" for nothing. Pure."""
        if not self.filters_devices or resources.devices is None:
            return b""
        from engine.runtime.cgroup import devicefilter

        return devicefilter.compile(resources.devices)

    def filter_devices(self, path: bytes, program: bytes) -> None:
        """Have a program rule over what is opened from now on."""
        from engine.runtime.cgroup import devicefilter  # a keeper without v2 never needs it

        directory = self.directory_fd(path)
        if directory is None:
            raise OSError(errno.EOPNOTSUPP, "filters of devices need a tree of cgroup v2", path)
        try:
            devicefilter.attach(directory, program)
        finally:
            os.close(directory)

    def limit(self, path: bytes, resources: Resources) -> None:
        """Set limits, on a new or a living cgroup."""
        for file, value in self.writes(path, resources):
            tree.write(file, value)
        program = self.device_program(resources)
        if program:
            self.filter_devices(path, program)

    def join(self, path: bytes) -> None:
        """Move the caller, which must be single-threaded."""
        self.enter(tuple(self.join_files(path)))

    def enter(self, files: tuple[bytes, ...]) -> None:
        """The same, by what join_files() gave."""
        for file in files:
            tree.write(file, b"0")

    def keep_limits(self, path: bytes, sample: Sample) -> bool:
        """End what is beyond its limit of memory where the kernel does not; whether it did."""
        return False

    def sample(self, path: bytes) -> Sample:
        """Read the counters once."""
        with self.sampler(path) as sampler:
            return sampler.sample()

    def exists(self, path: bytes) -> bool:
        """Whether any part of the cgroup is there."""
        return any(os.path.isdir(directory) for directory in self.directories(path))

    def children(self, path: bytes) -> list[bytes]:
        """The names of the cgroups right below, sorted; none when the path does not exist."""
        found: set[bytes] = set()
        for directory in self.directories(path):
            found.update(tree.children(directory))
        return sorted(found)

    def procs(self, path: bytes) -> list[int]:
        """The pids of the whole subtree; 0 for a process outside of our pid namespace."""
        return tree.procs(os.path.join(self._process_tree(), tree.relative(path)))

    def remove(self, path: bytes, timeout: float = 2.0) -> None:
        """Remove the cgroup and all below, bottom up; fine when it is already gone.

        A process counts until its parent has reaped it, so a busy cgroup is tried again until
        `timeout` (s) has passed: then raise OSError(EBUSY, ..., directory).
        """
        deadline = time.monotonic() + timeout
        for directory in self.directories(path):
            tree.remove(directory, deadline)
