"""No cgroups: who is in one is noted in files, and what the kernel would count is added up.

An ordinary user without a delegated part of v2 has none. A directory of ours stands for each: the
first process of each container, and of each exec, leaves a file PID-STARTTIME there, and whatever
descends from those belongs to them. What that costs: CPU and processes have no limit. A limit of
memory is kept by whoever looks at the counters, each second, instead of by the kernel at once.

The keeper imports this: no dataclasses and no typing, whose imports cost more than all the rest.
"""

from __future__ import annotations

import errno
import os
import signal
import time

from engine.linux.pidfd import pidfd_open, pidfd_send_signal
from engine.linux.process import pid_alive, start_time
from engine.runtime.cgroup import tree, units
from engine.runtime.cgroup.api import Hierarchy, Resources
from engine.runtime.cgroup.sampling import Sample, Sampler

_MARK = b".podarium"
_MEMORY, _KILLS = b"memory.max", b"oom_kills"
_PASSES = 100
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_FRESH_NS = 100_000_000
_PAUSE_S = 0.005


def make(root: bytes) -> None:
    """Have a directory be the root of such a tree: detect() finds it by a mark in it."""
    os.makedirs(root, 0o700, exist_ok=True)
    os.close(os.open(root + b"/" + _MARK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def is_root(directory: bytes) -> bool:
    """Whether make() made it."""
    return os.path.exists(directory + b"/" + _MARK)


class NoCgroups(Hierarchy):
    name = "none"
    keeps_memory = True

    def __init__(self, root: bytes) -> None:
        self.root = root
        self.controllers = frozenset()

    def directories(self, path: bytes) -> list[bytes]:
        return [self.root + b"/" + tree.relative(path)]

    def directory_of(self, controller: bytes, path: bytes) -> bytes:
        text = f"the {controller.decode()} controller takes cgroups, of which this user has none"
        raise OSError(errno.EOPNOTSUPP, text, path)

    def create(self, path: bytes) -> None:
        (directory,) = self.directories(path)
        os.makedirs(directory, 0o755, exist_ok=True)
        for name in (_MEMORY, _KILLS):
            _touch(directory + b"/" + name)

    def writes(self, path: bytes, resources: Resources) -> list[tuple[bytes, bytes]]:
        (directory,) = self.directories(path)
        if resources.memory_limit is None:
            return []
        # A file takes what is written over what was there: the same number of bytes each time.
        limit = units.maximum(resources.memory_limit).ljust(20)
        return [(directory + b"/" + _MEMORY, limit)]

    def join_files(self, path: bytes) -> list[bytes]:
        return [directory + b"/members" for directory in self.directories(path)]

    def enter(self, files: tuple[bytes, ...]) -> None:
        # By the number that whoever looks knows us by, not that in a new pid namespace.
        pid = int(os.readlink("/proc/self"))
        for file in files:
            _touch(os.path.dirname(file) + b"/%d-%d" % (pid, start_time(pid)))

    def freeze(self, path: bytes, frozen: bool) -> None:
        text = "to stop a container takes cgroups, of which this user has none"
        raise OSError(errno.EOPNOTSUPP, text, path)

    def is_frozen(self, path: bytes) -> bool:
        return False

    def kill(self, path: bytes) -> None:
        """With the first process of a pid namespace the kernel ends all the others."""
        killed: set[int] = set()
        for _ in range(_PASSES):
            fresh = set(self.procs(path)) - killed
            if not fresh:
                return
            for pid in fresh:
                _kill(pid)
            killed |= fresh
        text = f"processes fork faster than they can be killed ({_PASSES} passes)"
        raise OSError(errno.EBUSY, text, path)

    def procs(self, path: bytes) -> list[int]:
        return _descendants(self.members(path), look(0))

    def members(self, path: bytes) -> list[int]:
        """Those that entered it, or a cgroup below, and live; of others the files are removed."""
        found = []
        for directory in self.directories(path):
            for folder, _, names in os.walk(directory):
                for name in names:
                    pid, dash, start = name.partition(b"-")
                    if not dash:
                        continue
                    if pid_alive(int(pid), int(start)):
                        found.append(int(pid))
                    else:
                        _forget(os.path.join(folder, name))
        return found

    def keep_limits(self, path: bytes, sample: Sample) -> bool:
        if sample.memory_limit is None or sample.memory <= sample.memory_limit:
            return False
        for directory in self.directories(path):
            with open(directory + b"/" + _KILLS, "ab", buffering=0) as file:
                file.write(b"x")
        self.kill(path)
        return True

    def sampler(self, path: bytes) -> Sampler:
        return _Counting(self, path)

    def mounts(self) -> list[tuple[bytes, bytes, bytes]]:
        return []

    def remove(self, path: bytes, timeout: float = 2.0) -> None:
        deadline = time.monotonic() + timeout
        while inside := self.members(path):
            if time.monotonic() >= deadline:
                text = f"cgroup is busy, with {', '.join(map(str, inside))} in it"
                raise OSError(errno.EBUSY, text, path)
            time.sleep(_PAUSE_S)
        for directory in self.directories(path):
            for folder, _, names in os.walk(directory, topdown=False):
                for name in names:
                    _forget(os.path.join(folder, name))
                os.rmdir(folder)

    def _process_tree(self) -> bytes:
        return self.root


class _Counting(Sampler):
    """What the processes of one such cgroup use, added up.

    Memory is what each has to itself. What a process used that an exec began, and that is over, is
    no longer counted: the total never falls for that.
    """

    def __init__(self, hierarchy: NoCgroups, path: bytes) -> None:
        super().__init__([])
        self._hierarchy = hierarchy
        self._path = path
        (self._directory,) = hierarchy.directories(path)
        self._cpu_ns = 0

    def sample(self) -> Sample:
        try:
            limit = tree.read(self._directory + b"/" + _MEMORY)
            kills = tree.read(self._directory + b"/" + _KILLS)
        except FileNotFoundError:
            raise OSError(errno.ENODEV, "it has been removed", self._path) from None
        seen, time_ns = look(), time.monotonic_ns()
        pids = _descendants(self._hierarchy.members(self._path), seen)
        memory = sum(map(_own_memory, pids))
        self._cpu_ns = max(self._cpu_ns, sum(seen[pid].ticks for pid in pids) * _TICK_NS)
        return Sample(
            time_ns=time_ns,
            cpu_ns=self._cpu_ns,
            memory=memory,
            inactive_file=0,
            anon=memory,
            file=0,
            kernel=0,
            memory_limit=units.parse_limit(limit) if limit.strip() else None,
            pids=sum(seen[pid].threads for pid in pids),
            periods=0,
            throttled_periods=0,
            throttled_ns=0,
            oom_kills=len(kills),
        )


class _Process:
    """`ticks` of CPU it and its children that have ended had."""

    __slots__ = ("parent", "threads", "ticks")

    def __init__(self, stat: bytes) -> None:
        # proc_pid_stat(5) from field 3 on; the command before may hold any byte.
        fields = stat.rpartition(b")")[2].split()
        self.parent = int(fields[1])
        self.ticks = sum(map(int, fields[11:15]))
        self.threads = int(fields[17])


class _Look:
    """The last one at /proc: a thousand containers are sampled by the same."""

    def __init__(self) -> None:
        self.time_ns = 0
        self.found: dict[int, _Process] = {}


_last = _Look()


def look(fresh_ns: int = _FRESH_NS) -> dict[int, _Process]:
    """Every process there is, as of at most so long ago."""
    now = time.monotonic_ns()
    if now - _last.time_ns > fresh_ns:
        _last.time_ns, _last.found = now, {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    _last.found[int(name)] = _Process(tree.read(b"/proc/%b/stat" % name.encode()))
                except (FileNotFoundError, ProcessLookupError):
                    continue
    return _last.found


def _descendants(pids: list[int], seen: dict[int, _Process]) -> list[int]:
    children: dict[int, list[int]] = {}
    for pid, process in seen.items():
        children.setdefault(process.parent, []).append(pid)
    found, waiting = set(), [pid for pid in pids if pid in seen]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return sorted(found)


def _own_memory(pid: int) -> int:
    """Bytes that it shares with nobody: proc_pid_statm(5)."""
    try:
        _, resident, shared, *_ = map(int, tree.read(b"/proc/%d/statm" % pid).split())
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return max(0, resident - shared) * _PAGE


def _kill(pid: int) -> None:
    try:
        held = pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        pidfd_send_signal(held, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        os.close(held)


def _touch(file: bytes) -> None:
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _forget(file: bytes) -> None:
    try:
        os.unlink(file)
    except FileNotFoundError:
        return
