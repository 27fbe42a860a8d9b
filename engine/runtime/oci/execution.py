"""exec: another process in a running container, confined as its config says."""

from __future__ import annotations

import os

from engine.linux.flags import CLONE
from engine.linux.namespace import setns
from engine.linux.pidfd import pidfd_open
from engine.linux.process import capget, set_dumpable
from engine.runtime.oci import launch, state
from engine.runtime.oci.document import ConfigError, Value, read
from engine.runtime.oci.entering import BecomeRoot
from engine.runtime.oci.labels import hold
from engine.runtime.oci.listener import LISTENER, hand_over
from engine.runtime.oci.namespaces import owner
from engine.runtime.oci.process import become, oom_score
from engine.runtime.oci.settings import Affinity, cpus
from engine.runtime.oci.state import CREATED, RUNNING, State, StateError
from engine.runtime.ops.base import Context, Op
from engine.runtime.ops.cgroups import JoinCgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_NAMESPACES = {
    "mnt": CLONE.NEWNS,
    "net": CLONE.NEWNET,
    "ipc": CLONE.NEWIPC,
    "uts": CLONE.NEWUTS,
    "cgroup": CLONE.NEWCGROUP,
    "user": CLONE.NEWUSER,
    "time": CLONE.NEWTIME,
}


class JoinProcess(Op):
    """The namespaces `kinds` of the container's first process, held by a pidfd: all at once, as
    the right to some is that of a root outside of others. With a user namespace, as `owner`."""

    NAME = "join-process"
    PHASE = "namespaces"
    kinds: int
    owner: tuple[int, int]

    def apply(self, context: Context) -> None:
        setns(context.pidfd, self.kinds)
        if self.kinds & CLONE.NEWUSER:
            BecomeRoot(*self.owner).apply(context)

    def describe(self) -> str:
        return f"join the container's namespaces {CLONE(self.kinds).name}"

    def shell(self) -> str:
        return "nsenter --target PID --all"


def execute(
    root: str, id: str, process: Value, *, console: int = -1, keep: int = 0
) -> launch.Cloned:
    """Started; its parent is us. `process` as in config.json; what it leaves out is as the first
    process has it. Raise ConfigError, StateError, StartError."""
    container = state.load(root, id)
    hierarchy = container.hierarchy()
    status = container.status(hierarchy)
    if status not in (RUNNING, CREATED):
        raise StateError(f"container {id!r} is {status}: nothing can be executed in it")
    config = read(container.config_path, "container")
    if process.get("terminal").flag() != (console >= 0):
        raise ConfigError("process.terminal: a terminal and a console socket go together")
    cgroup = container.cgroup
    joins = tuple(hierarchy.join_files(cgroup))
    born = [d for d in hierarchy.directories(cgroup) if not any(j.startswith(d) for j in joins)]
    context = Context(hierarchy)
    context.console = console
    context.pidfd = pidfd_open(container.pid)
    # Held, the pid is still the one that was meant, or the container has ended.
    if not container.alive():
        raise StateError(f"container {id!r} has ended")
    kinds = _differing(container)
    ops = (
        *hold(process),
        *_affinity(process, "initial"),
        JoinCgroup(joins, born[0] if born else b""),
        *_affinity(process, "final"),
        *oom_score(process),
        JoinProcess(kinds, owner(config)),
        *become(
            process,
            config.get("linux", "seccomp"),
            held=~0 if kinds & CLONE.NEWUSER else capget()[1],
            own_console=False,
            keep=keep,
        ),
    )
    # Others in the container see us, until we are what we execute.
    set_dumpable(False)
    flags, into = CLONE(0), cgroup if born else None
    cloned = launch.clone(ops, context, flags, into, hierarchy, pid_namespace=context.pidfd)

    def listener(fd: int) -> None:
        hand_over(config.get("linux", "seccomp"), container, status, cloned.pid, fd)

    try:
        cloned.listen("ready", {LISTENER: listener})
    except BaseException:
        cloned.reap()
        raise
    return cloned


def _affinity(process: Value, when: str) -> Iterator[Affinity]:
    """Where it runs before it is in the container's cgroup, and from then on."""
    field = process.get("execCPUAffinity", when)
    if field.text(""):
        yield Affinity(field.text(), tuple(cpus(field)))


def _differing(container: State) -> CLONE:
    """Its namespaces that are not ours: there is no need, and from a user namespace no right, to
    join one that we are in."""
    found = CLONE(0)
    for name, flag in _NAMESPACES.items():
        if not os.path.exists(f"/proc/self/ns/{name}"):
            # Of time, where the kernel has none.
            continue
        theirs, ours = (os.stat(f"/proc/{pid}/ns/{name}").st_ino for pid in (container.pid, "self"))
        if theirs != ours:
            found |= flag
    return found


def process_of(container: State, changes: dict[str, Any]) -> Value:
    """The first process's, with `changes` by the command line. Raise ConfigError."""
    config = read(container.config_path, "container")
    process = dict(config.get("process").raw or {})
    env = changes.pop("env", [])
    process["env"] = [*process.get("env", []), *env]
    caps = changes.pop("capabilities", [])
    if caps:
        sets = dict(process.get("capabilities", {}))
        for name in ("bounding", "effective", "permitted"):
            sets[name] = [*sets.get(name, []), *caps]
        process["capabilities"] = sets
    process.pop("consoleSize", None)
    process.update(changes)
    return Value(process, "process")
