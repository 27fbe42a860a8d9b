"""cgroup v2: one tree for all controllers, Documentation/admin-guide/cgroup-v2.rst."""

from __future__ import annotations

import errno
import os

from engine.runtime.cgroup import tree, units
from engine.runtime.cgroup.api import Hierarchy, Resources
from engine.runtime.cgroup.sampling import PressureSampler, V2Sampler, number

_WANTED = (b"cpu", b"memory", b"pids")
# What we had the root hand down that it did not before, kept with the root itself (Linux 5.7).
_RECORD = b"user.podarium.controllers"
# A cgroup that has other values than these is limited by somebody.
_UNUSED = {
    b"cpu.max": b"max 100000",
    b"cpu.weight": b"100",
    b"memory.max": b"max",
    b"memory.high": b"max",
    b"memory.low": b"0",
    b"memory.min": b"0",
    b"pids.max": b"max",
}


class V2(Hierarchy):
    name = "v2"
    filters_devices = True

    def __init__(self, root: bytes, also: frozenset[bytes] = frozenset()) -> None:
        """`root`: where the tree is mounted. Beside v1's trees it may have no controllers."""
        self.root = root
        available = tree.read(root + b"/cgroup.controllers").split()
        self.controllers = frozenset({*_WANTED, *also} & set(available))
        self._swap = b"memory" in self.controllers and _accounts_swap(root)

    def directories(self, path: bytes) -> list[bytes]:
        return [self.root + b"/" + tree.relative(path)]

    def directory_of(self, controller: bytes, path: bytes) -> bytes:
        if controller not in self.controllers:
            return super().directory_of(controller, path)
        return self.directories(path)[0]

    def create(self, path: bytes) -> None:
        """A cgroup gets the controllers that each of its ancestors hands down."""
        parent = os.path.dirname(tree.relative(path))
        if parent and not os.path.isdir(self.root + b"/" + parent):
            self.create(parent)
        self._hand_down(parent)
        try:
            os.mkdir(self.root + b"/" + path, 0o755)
        except FileExistsError:
            pass

    def _hand_down(self, path: bytes) -> None:
        """Have a cgroup, b"" for the root, pass every wanted controller to its children."""
        control = b"/".join(filter(None, (self.root, path, b"cgroup.subtree_control")))
        missing = self.controllers.difference(tree.read(control).split())
        if not missing:
            return
        if path:
            self._hand_down(os.path.dirname(path))
        else:
            os.setxattr(self.root, _RECORD, b" ".join(sorted(missing | self._handed_down())))
        try:
            tree.write(control, b" ".join(b"+" + name for name in sorted(missing)))
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            # The "no internal processes" rule, which spares only the machine's own root.
            where = os.path.dirname(control).decode()
            text = (
                f"{where} has processes of its own, so it cannot hand its controllers down;"
                " move them into a cgroup below it first"
            )
            raise OSError(errno.EBUSY, text, error.filename) from None

    def _handed_down(self) -> frozenset[bytes]:
        try:
            return frozenset(os.getxattr(self.root, _RECORD).split())
        except OSError as error:
            if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
                raise
            return frozenset()

    def take_back(self) -> list[bytes]:
        below = tree.children(self.root)
        kept = set()
        for name in sorted(self._handed_down()):
            if any(self._limits(child, name) for child in below):
                kept.add(name)
                continue
            try:
                tree.write(self.root + b"/cgroup.subtree_control", b"-" + name)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                kept.add(name)  # a child hands it down in turn
        if kept:
            os.setxattr(self.root, _RECORD, b" ".join(sorted(kept)))
        elif self._handed_down():
            os.removexattr(self.root, _RECORD)
        return sorted(kept)

    def _limits(self, child: bytes, controller: bytes) -> bool:
        for file, unused in _UNUSED.items():
            if file.startswith(controller + b"."):
                try:
                    if tree.read(b"/".join((self.root, child, file))).strip() != unused:
                        return True
                except FileNotFoundError:
                    continue  # not of this kernel, or gone
        return False

    def crowded(self) -> bool:
        here = self.root + b"/cgroup."
        if not os.path.exists(here + b"type"):
            return False  # the machine's own root, which the rule spares
        withheld = self.controllers.difference(tree.read(here + b"subtree_control").split())
        return bool(withheld and tree.read(here + b"procs"))

    def writes(self, path: bytes, resources: Resources) -> list[tuple[bytes, bytes]]:
        directory = self.root + b"/" + tree.relative(path)
        found: list[tuple[bytes, bytes]] = []

        def write(file: bytes, value: bytes) -> None:
            found.append((directory + b"/" + file, value))

        if resources.cpu_shares is not None:
            write(b"cpu.weight", b"%d" % units.weight(resources.cpu_shares))
        if resources.cpu_quota_us is not None:
            write(b"cpu.max", units.cpu_max(resources.cpu_quota_us, resources.cpu_period_us))
        if resources.cpu_burst_us is not None:
            write(b"cpu.max.burst", b"%d" % resources.cpu_burst_us)
        if resources.cpu_idle is not None:
            write(b"cpu.idle", b"%d" % resources.cpu_idle)
        if resources.cpuset_cpus is not None:
            write(b"cpuset.cpus", resources.cpuset_cpus.encode())
        if resources.cpuset_mems is not None:
            write(b"cpuset.mems", resources.cpuset_mems.encode())
        if resources.memory_limit is not None:
            write(b"memory.max", units.maximum(resources.memory_limit))
        swap = units.swap_max(resources.memory_limit, resources.memory_swap)
        if swap is not None and self._swap:
            write(b"memory.swap.max", swap)
        if resources.memory_low is not None:
            write(b"memory.low", units.maximum(resources.memory_low))
        if resources.oom_group is not None:
            write(b"memory.oom.group", b"%d" % resources.oom_group)
        if resources.pids_limit is not None:
            write(b"pids.max", units.maximum(resources.pids_limit))
        for file, value in resources.unified or ():
            if "/" in file or not file.rpartition(".")[0]:
                raise OSError(errno.EINVAL, "is not the name of a cgroup's file", file)
            write(file.encode(), value.encode())
        return found

    def join_files(self, path: bytes) -> list[bytes]:
        tree.relative(path)
        return []

    def join(self, path: bytes) -> None:
        tree.write(self._file(path, b"cgroup.procs"), b"0")

    def directory_fd(self, path: bytes) -> int | None:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        return os.open(self.directories(path)[0], flags)

    def freeze(self, path: bytes, frozen: bool) -> None:
        tree.write(self._file(path, b"cgroup.freeze"), b"%d" % frozen)

    def is_frozen(self, path: bytes) -> bool:
        return number(tree.read(self._file(path, b"cgroup.events")), b"frozen") == 1

    def kill(self, path: bytes) -> None:
        """cgroup.kill, Linux 5.14: at once for all, and also for those being forked."""
        try:
            tree.write(self._file(path, b"cgroup.kill"), b"1")
        except FileNotFoundError:
            if self.exists(path):
                raise

    def sampler(self, path: bytes) -> V2Sampler:
        return V2Sampler(self.directories(path)[0])

    def pressure(self, path: bytes) -> PressureSampler | None:
        try:
            return PressureSampler(self.directories(path)[0])
        except OSError as error:
            # Without CONFIG_PSI; with psi=0; of a cgroup that is gone.
            if error.errno not in (errno.ENOENT, errno.EOPNOTSUPP):
                raise
            return None

    def mounts(self) -> list[tuple[bytes, bytes, bytes]]:
        return [(b"", b"cgroup2", b"")]

    def _process_tree(self) -> bytes:
        return self.root

    def _file(self, path: bytes, name: bytes) -> bytes:
        return b"/".join((self.root, tree.relative(path), name))


def _accounts_swap(root: bytes) -> bool:
    """Whether cgroups here have memory.swap.max, which the machine's root never has."""
    for name in (b".", *(b"./" + child for child in tree.children(root))):
        directory = root + b"/" + name
        if os.path.exists(directory + b"/memory.max"):
            return os.path.exists(directory + b"/memory.swap.max")
    return os.path.exists(b"/proc/swaps")
