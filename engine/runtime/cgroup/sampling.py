"""Reading a cgroup's counters each second, for a thousand cgroups.

A counter read through a descriptor that stays open costs 2 µs, opened anew 15 µs. So a Sampler
opens its cgroup's files once and reads each with pread(2). The dear one is memory.stat (15 µs): the
kernel gathers it from all CPUs.
"""

from __future__ import annotations

import os
import time

from engine.runtime.cgroup import units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_SIZE = 8192
_PRESSURES = (b"cpu", b"memory", b"io")


class Sample:
    """One cgroup at one moment. Not to be changed.

    time_ns             CLOCK_MONOTONIC
    cpu_ns              CPU time used since the cgroup was made
    memory              bytes charged; of them anon, file (page cache and tmpfs), kernel, and
                        inactive_file, which can be dropped at once
    memory_limit        bytes, or None
    pids                processes and threads
    periods, throttled_periods, throttled_ns    of a CPU quota, since the cgroup was made
    oom_kills           processes that the OOM killer ended
    """

    __slots__ = (
        "anon",
        "cpu_ns",
        "file",
        "inactive_file",
        "kernel",
        "memory",
        "memory_limit",
        "oom_kills",
        "periods",
        "pids",
        "throttled_ns",
        "throttled_periods",
        "time_ns",
    )

    def __init__(
        self,
        *,
        time_ns: int,
        cpu_ns: int,
        memory: int,
        inactive_file: int,
        anon: int,
        file: int,
        kernel: int,
        memory_limit: int | None,
        pids: int,
        periods: int,
        throttled_periods: int,
        throttled_ns: int,
        oom_kills: int,
    ) -> None:
        self.time_ns = time_ns
        self.cpu_ns = cpu_ns
        self.memory = memory
        self.inactive_file = inactive_file
        self.anon = anon
        self.file = file
        self.kernel = kernel
        self.memory_limit = memory_limit
        self.pids = pids
        self.periods = periods
        self.throttled_periods = throttled_periods
        self.throttled_ns = throttled_ns
        self.oom_kills = oom_kills

    @property
    def working_set(self) -> int:
        """Bytes that cannot be dropped at once: what the kubelet calls usage and evicts by."""
        return max(0, self.memory - self.inactive_file)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sample) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__
        )

    def __repr__(self) -> str:
        return f"Sample({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


class Counters:
    """Files of one cgroup, open to be read; a context manager.

    sample() raises OSError(ENODEV) once the cgroup has been removed.
    """

    def __init__(self, files: list[bytes]) -> None:
        """Raise OSError naming the first file that cannot be opened."""
        self._fds: list[int] = []
        try:
            for file in files:
                self._fds.append(os.open(file, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        while self._fds:
            os.close(self._fds.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Sampler(Counters):
    """What one cgroup uses."""

    def sample(self) -> Sample:
        raise NotImplementedError


class Pressure:
    """What part of the last ten seconds, 0 to 1, tasks of a cgroup have waited: some of them at any
    time (Documentation/accounting/psi.rst; the kernel counts anew every two seconds)."""

    __slots__ = ("cpu", "io", "memory")

    def __init__(self, *, cpu: float, memory: float, io: float) -> None:
        self.cpu = cpu
        self.memory = memory
        self.io = io


class PressureSampler(Counters):
    """Pressure stall information of a v2 cgroup, be it one without controllers."""

    def __init__(self, directory: bytes) -> None:
        super().__init__([directory + b"/%s.pressure" % kind for kind in _PRESSURES])

    def sample(self) -> Pressure:
        cpu, memory, io = (_some(os.pread(fd, _SIZE, 0)) for fd in self._fds)
        return Pressure(cpu=cpu, memory=memory, io=io)


def _some(text: bytes) -> float:
    """Of "some avg10=0.00 avg60=0.00 avg300=0.00 total=0", which is the first line."""
    return float(text[len(b"some avg10=") : text.index(b" avg60")]) / 100


class V1Sampler(Sampler):
    """The counters of v1, from four controllers."""

    def __init__(self, cpu: bytes, cpuacct: bytes, memory: bytes, pids: bytes) -> None:
        """Each the cgroup's directory in that controller's tree."""
        kernel = memory + b"/memory.kmem.usage_in_bytes"
        self._kernel = os.path.exists(kernel)
        files = [
            cpuacct + b"/cpuacct.usage",
            cpu + b"/cpu.stat",
            memory + b"/memory.usage_in_bytes",
            memory + b"/memory.limit_in_bytes",
            memory + b"/memory.stat",
            memory + b"/memory.oom_control",
            pids + b"/pids.current",
        ]
        super().__init__([*files, kernel] if self._kernel else files)

    def sample(self) -> Sample:
        time_ns = time.monotonic_ns()
        usage, cpu, memory, limit, stat, oom, pids, *kernel = [
            os.pread(fd, _SIZE, 0) for fd in self._fds
        ]
        # nr_periods, nr_throttled, throttled_time: the first three lines since there were any.
        periods, throttled_periods, throttled_ns = map(int, cpu.split(maxsplit=6)[1:6:2])
        return Sample(
            time_ns=time_ns,
            cpu_ns=int(usage),
            memory=int(memory),
            # total_ counts the descendants too, as every v2 number does.
            inactive_file=number(stat, b"total_inactive_file"),
            anon=number(stat, b"total_rss"),
            file=number(stat, b"total_cache"),
            kernel=int(kernel[0]) if kernel else 0,
            memory_limit=units.parse_limit(limit),
            pids=int(pids),
            periods=periods,
            throttled_periods=throttled_periods,
            throttled_ns=throttled_ns,
            oom_kills=number(oom, b"oom_kill"),
        )


class V2Sampler(Sampler):
    """The counters of v2."""

    def __init__(self, directory: bytes) -> None:
        names = (
            b"cpu.stat",
            b"memory.current",
            b"memory.max",
            b"memory.stat",
            # Not memory.events.local: a container may have cgroups of its own below.
            b"memory.events",
            b"pids.current",
        )
        super().__init__([directory + b"/" + name for name in names])

    def sample(self) -> Sample:
        time_ns = time.monotonic_ns()
        cpu, memory, limit, stat, events, pids = [os.pread(fd, _SIZE, 0) for fd in self._fds]
        return Sample(
            time_ns=time_ns,
            cpu_ns=number(cpu, b"usage_usec") * 1000,
            memory=int(memory),
            inactive_file=number(stat, b"inactive_file"),
            anon=number(stat, b"anon"),
            file=number(stat, b"file"),
            kernel=number(stat, b"kernel"),
            memory_limit=units.parse_limit(limit),
            pids=int(pids),
            periods=number(cpu, b"nr_periods"),
            throttled_periods=number(cpu, b"nr_throttled"),
            throttled_ns=number(cpu, b"throttled_usec") * 1000,
            oom_kills=number(events, b"oom_kill"),
        )


def number(flat: bytes, key: bytes) -> int:
    """A value of a "KEY VALUE" file; 0 for a key that this kernel does not count."""
    start = flat.find(b"\n" + key + b" ")
    if start >= 0:
        start += len(key) + 2
    elif flat.startswith(key + b" "):
        start = len(key) + 1
    else:
        return 0
    end = flat.find(b"\n", start)
    return int(flat[start:] if end < 0 else flat[start:end])
