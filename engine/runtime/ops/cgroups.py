"""The container's cgroup and namespaces: made before the process exists, joined at once."""

from __future__ import annotations

from engine.linux.flags import CLONE
from engine.linux.namespace import setns, unshare
from engine.runtime.cgroup import tree
from engine.runtime.ops.base import Context, Op, quoted, shown


class CreateCgroup(Op):
    """`directories` are what `path` means on this machine."""

    NAME = "create-cgroup"
    PHASE = "cgroup"
    path: bytes
    directories: tuple[bytes, ...]

    @property
    def about(self) -> str:
        return shown(self.path)

    def apply(self, context: Context) -> None:
        context.hierarchy.create(self.path)

    def describe(self) -> str:
        return f"make the cgroup {shown(self.path)}"

    def shell(self) -> str:
        return "mkdir -p " + " ".join(quoted(directory) for directory in self.directories)


class LimitCgroup(Op):
    """(file, value), in order."""

    NAME = "limit-cgroup"
    PHASE = "cgroup"
    writes: tuple[tuple[bytes, bytes], ...]

    @property
    def about(self) -> str:
        return f"{len(self.writes)} settings"

    def apply(self, context: Context) -> None:
        for file, value in self.writes:
            tree.write(file, value)

    def describe(self) -> str:
        settings = (f"{shown(file.rpartition(b'/')[2])}={shown(v)}" for file, v in self.writes)
        return "limit it: " + ", ".join(settings)

    def shell(self) -> str:
        return "; ".join(f"echo {quoted(value)} > {quoted(file)}" for file, value in self.writes)


class FilterDevices(Op):
    """`path`: the cgroup, which exists. `program`: see Hierarchy.device_program()."""

    NAME = "filter-devices"
    PHASE = "cgroup"
    path: bytes
    program: bytes

    @property
    def about(self) -> str:
        return shown(self.path)

    def apply(self, context: Context) -> None:
        context.hierarchy.filter_devices(self.path, self.program)

    def describe(self) -> str:
        return f"ask a filter of {len(self.program) // 8} instructions which devices may be opened"

    def shell(self) -> str:
        return "# bpf(2): BPF_PROG_ATTACH, BPF_CGROUP_DEVICE"


class JoinCgroup(Op):
    """`files` take b"0", the writer itself; `born` is the v2 directory that clone3 begins in."""

    NAME = "join-cgroup"
    PHASE = "cgroup"
    files: tuple[bytes, ...]
    born: bytes

    @property
    def about(self) -> str:
        return shown(self.born or self.files[0].rpartition(b"/")[0])

    def apply(self, context: Context) -> None:
        context.hierarchy.enter(self.files)

    def describe(self) -> str:
        trees = f" in the trees of {len(self.files)} v1 controllers" if self.files else ""
        born = " born in its v2 directory (CLONE_INTO_CGROUP)" if self.born else ""
        return "enter the cgroup:" + born + (" and" if born and trees else "") + trees

    def shell(self) -> str:
        files = [*self.files, *([self.born + b"/cgroup.procs"] if self.born else [])]
        return "; ".join(f"echo $$ > {quoted(file)}" for file in files)


class UnshareCgroup(Op):
    NAME = "unshare-cgroup"
    PHASE = "namespaces"

    def apply(self, context: Context) -> None:
        unshare(CLONE.NEWCGROUP)

    def describe(self) -> str:
        return "new cgroup namespace, rooted at the cgroup just joined"

    def shell(self) -> str:
        return "unshare --cgroup"


_KINDS = {"network": CLONE.NEWNET, "ipc": CLONE.NEWIPC, "uts": CLONE.NEWUTS}


class JoinSandbox(Op):
    """`kinds` of "network", "ipc", "uts": what a pod's containers share."""

    NAME = "join-sandbox"
    PHASE = "namespaces"
    sandbox: str
    kinds: tuple[str, ...]

    @property
    def about(self) -> str:
        return self.sandbox

    def apply(self, context: Context) -> None:
        for kind in self.kinds:
            setns(context.namespaces[kind], _KINDS[kind])

    def describe(self) -> str:
        return f"join the pod's {', '.join(self.kinds)} namespaces"

    def shell(self) -> str:
        short = {"network": "--net", "ipc": "--ipc", "uts": "--uts"}
        options = " ".join(f"{short[kind]}=/proc/POD/ns/{short[kind][2:]}" for kind in self.kinds)
        return f"nsenter {options}"


class JoinContainer(Op):
    """Enter a running container by the pidfd of its first process, born in its pid namespace."""

    NAME = "join-container"
    PHASE = "namespaces"

    def apply(self, context: Context) -> None:
        every = CLONE.NEWNS | CLONE.NEWNET | CLONE.NEWIPC | CLONE.NEWUTS | CLONE.NEWCGROUP
        setns(context.pidfd, every)

    def describe(self) -> str:
        return "join the container's mount, network, ipc, uts and cgroup namespaces"

    def shell(self) -> str:
        return "nsenter --target PID --mount --net --ipc --uts --cgroup --pid"
