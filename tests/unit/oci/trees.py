"""Cgroup hierarchies that need not be there."""

from engine.runtime.cgroup.hybrid import Hybrid
from engine.runtime.cgroup.v2 import V2

ROOTS = {
    name: b"/sys/fs/cgroup/" + name
    for name in (
        *(b"cpu", b"cpuacct", b"memory", b"pids", b"devices", b"cpuset", b"blkio", b"hugetlb"),
        *(b"net_cls", b"net_prio"),
    )
}


class Unified(V2):
    """A v2 tree that need not be there."""

    def __init__(self, *controllers: bytes) -> None:
        self.root = b"/sys/fs/cgroup/unified"
        self.controllers = frozenset(controllers)
        self._swap = True


class Trees(Hybrid):
    def __init__(self) -> None:
        self._roots = ROOTS
        self.controllers = frozenset(ROOTS)
        self._memsw = True
        self._unified = Unified()
