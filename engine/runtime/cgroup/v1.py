"""cgroup v1: one tree for each controller, Documentation/admin-guide/cgroup-v1."""

from __future__ import annotations

import errno
import os

from engine.linux.pidfd import pidfd_open, pidfd_send_signal
from engine.linux.signals import SIG
from engine.runtime.cgroup import tree, units
from engine.runtime.cgroup.api import Hierarchy, Resources
from engine.runtime.cgroup.sampling import V1Sampler

# Of the machine's controllers those that we limit, count or act with. Joining others costs time
# (blkio's is 20 times slower) and gives nothing.
USED = (b"cpu", b"cpuacct", b"memory", b"pids", b"devices", b"freezer")

_KILL_PASSES = 100


class V1(Hierarchy):
    name = "v1"

    def __init__(self, roots: dict[bytes, bytes], *, used: tuple[bytes, ...] = USED) -> None:
        """`roots`: where each controller is mounted."""
        self._roots = {name: roots[name] for name in used if name in roots}
        self.controllers = frozenset(self._roots)
        memory = self._roots.get(b"memory")
        # Not there when the kernel does not account for swap.
        self._memsw = memory is not None and os.path.exists(
            memory + b"/memory.memsw.limit_in_bytes"
        )

    @property
    def controls_devices(self) -> bool:
        return b"devices" in self._roots or super().controls_devices

    def directories(self, path: bytes) -> list[bytes]:
        return self._controllers(path)

    def directory_of(self, controller: bytes, path: bytes) -> bytes:
        return self._file(controller, path, b"").rstrip(b"/")

    def create(self, path: bytes) -> None:
        for directory in self._controllers(path):
            try:
                os.mkdir(directory, 0o755)
            except FileExistsError:
                continue
            except FileNotFoundError:
                os.makedirs(directory, 0o755, exist_ok=True)
        if b"cpuset" in self._roots:
            root = self._roots[b"cpuset"]
            for file in (b"/cpuset.cpus", b"/cpuset.mems"):
                _inherit(root, tree.relative(path), file)

    def writes(self, path: bytes, resources: Resources) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []

        def write(controller: bytes, file: bytes, value: bytes) -> None:
            found.append((self._file(controller, path, file), value))

        if resources.cpu_shares is not None:
            write(b"cpu", b"cpu.shares", b"%d" % units.shares(resources.cpu_shares))
        if resources.cpu_quota_us is not None:
            period = resources.cpu_period_us or units.PERIOD_US
            write(b"cpu", b"cpu.cfs_period_us", b"%d" % period)
            write(b"cpu", b"cpu.cfs_quota_us", b"%d" % max(-1, resources.cpu_quota_us))
        if resources.cpu_burst_us is not None:
            write(b"cpu", b"cpu.cfs_burst_us", b"%d" % resources.cpu_burst_us)
        if resources.cpu_idle is not None:
            write(b"cpu", b"cpu.idle", b"%d" % resources.cpu_idle)
        if resources.cpuset_cpus is not None:
            write(b"cpuset", b"cpuset.cpus", resources.cpuset_cpus.encode())
        if resources.cpuset_mems is not None:
            write(b"cpuset", b"cpuset.mems", resources.cpuset_mems.encode())
        if resources.memory_limit is not None:
            # Memory first: memory and swap together may never be limited below memory alone.
            write(b"memory", b"memory.limit_in_bytes", b"%d" % max(-1, resources.memory_limit))
        together = resources.memory_swap
        if together is None:
            together = resources.memory_limit
        if together is not None and self._memsw:
            write(b"memory", b"memory.memsw.limit_in_bytes", b"%d" % max(-1, together))
        if resources.memory_low is not None:
            low = b"%d" % max(-1, resources.memory_low)
            write(b"memory", b"memory.soft_limit_in_bytes", low)
        if resources.pids_limit is not None:
            write(b"pids", b"pids.max", units.maximum(resources.pids_limit))
        if resources.devices is not None and not self.filters_devices:
            write(b"devices", b"devices.deny", b"a")
            for rule in resources.devices:
                file = b"devices.deny" if rule.startswith("!") else b"devices.allow"
                write(b"devices", file, rule.removeprefix("!").encode())
        if resources.unified:
            text = "unified settings are those of cgroup v2, which limits nothing on this machine"
            raise OSError(errno.EOPNOTSUPP, text, resources.unified[0][0])
        return found

    def limit(self, path: bytes, resources: Resources) -> None:
        writes = self.writes(path, resources)
        memory = b"/memory.limit_in_bytes"
        for position, (file, value) in enumerate(writes):
            try:
                tree.write(file, value)
            except OSError as error:
                # A limit being raised beyond the one for memory and swap: that one goes first.
                following = writes[position + 1 : position + 2]
                raising = error.errno == errno.EINVAL and file.endswith(memory) and self._memsw
                if not raising or not following:
                    raise
                tree.write(*following[0])
                tree.write(file, value)

    def join_files(self, path: bytes) -> list[bytes]:
        # "tasks", not "cgroup.procs": that one takes a lock which waits for an RCU grace period, so
        # that an isolated write lasts 10 ms instead of 40 µs.
        return [directory + b"/tasks" for directory in self._controllers(path)]

    def freeze(self, path: bytes, frozen: bool) -> None:
        state = b"FROZEN" if frozen else b"THAWED"
        tree.write(self._file(b"freezer", path, b"freezer.state"), state)

    def is_frozen(self, path: bytes) -> bool:
        return tree.read(self._file(b"freezer", path, b"freezer.state")).strip() == b"FROZEN"

    def kill(self, path: bytes) -> None:
        """Until a pass finds nobody new: what is frozen cannot fork, and dies when it thaws."""
        freezer = b"freezer" in self._roots and os.path.isdir(self._file(b"freezer", path, b""))
        if freezer:
            self.freeze(path, True)
        try:
            signalled: set[int] = set()
            for _ in range(_KILL_PASSES):
                fresh = set(self.procs(path)) - signalled - {0}
                if not fresh:
                    return
                self._kill(path, fresh)
                signalled |= fresh
            text = f"processes fork faster than they can be killed ({_KILL_PASSES} passes)"
            raise OSError(errno.EBUSY, text, path)
        finally:
            if freezer:
                self.freeze(path, False)

    def _kill(self, path: bytes, pids: set[int]) -> None:
        """Signal those still in the cgroup once a pidfd holds them: a pid may be used again."""
        held: dict[int, int] = {}
        try:
            for pid in pids:
                try:
                    held[pid] = pidfd_open(pid)
                except ProcessLookupError:
                    continue
            for pid in held.keys() & self.procs(path):
                try:
                    pidfd_send_signal(held[pid], SIG.KILL)
                except ProcessLookupError:
                    continue
        finally:
            for fd in held.values():
                os.close(fd)

    def sampler(self, path: bytes) -> V1Sampler:
        names = (b"cpu", b"cpuacct", b"memory", b"pids")
        return V1Sampler(*(self._file(name, path, b"").rstrip(b"/") for name in names))

    def mounts(self) -> list[tuple[bytes, bytes, bytes]]:
        together: dict[bytes, list[bytes]] = {}
        for name, root in self._roots.items():
            together.setdefault(root, []).append(name)
        options = [b",".join(names) for names in together.values()]
        return [(option, b"cgroup", option) for option in options]

    def _process_tree(self) -> bytes:
        return next(iter(self._roots.values()))

    def _controllers(self, path: bytes) -> list[bytes]:
        """The cgroup's directory in each controller's tree; joint controllers share one."""
        below = b"/" + tree.relative(path)
        return [root + below for root in dict.fromkeys(self._roots.values())]

    def _file(self, controller: bytes, path: bytes, name: bytes) -> bytes:
        root = self._roots.get(controller)
        if root is None:
            text = f"the {controller.decode()} cgroup controller is not mounted on this machine"
            raise OSError(errno.EOPNOTSUPP, text, path)
        return b"/".join((root, tree.relative(path), name))


def _inherit(root: bytes, path: bytes, file: bytes) -> None:
    """A new cgroup of v1's cpuset controller has no CPUs and no memory, and so takes nobody."""
    if not tree.read(root + b"/" + path + file).strip():
        parent = os.path.dirname(path)
        if parent:
            _inherit(root, parent, file)
        above = tree.read(root + (b"/" + parent if parent else b"") + file)
        tree.write(root + b"/" + path + file, above.strip())
