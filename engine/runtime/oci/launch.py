"""Cloning the process of a container, and hearing from it until it is created or has become what
it shall be. The process that runs this has one thread, and ends soon after."""

from __future__ import annotations

import os
import resource

from engine.linux.flags import CLONE
from engine.linux.namespace import clone3, setns
from engine.linux.unix import socketpair
from engine.runtime import child
from engine.runtime.errors import StartError
from engine.runtime.oci.report import Report
from engine.runtime.ops.base import Context, Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from engine.runtime.cgroup.api import Hierarchy


class Cloned(Report):
    """Of our own child."""

    def __init__(self, pid: int, socket: int, steps: list[tuple[str, str]]) -> None:
        super().__init__(socket, steps)
        self.pid = pid

    def reap(self) -> None:
        """It has failed, and ends when nobody answers it."""
        os.close(self.socket)
        os.waitpid(self.pid, 0)


def steps(ops: tuple[Op, ...]) -> list[tuple[str, str]]:
    return [(op.NAME, op.about) for op in ops]


def apply(ops: tuple[Op, ...], context: Context) -> None:
    """What is done before there is a child. Raise StartError."""
    for op in ops:
        try:
            op.apply(context)
        except OSError as error:
            name = error.filename
            about = os.fsdecode(name) if isinstance(name, bytes) else str(name or "")
            raise StartError(
                op.NAME, op.about, error.errno or 0, error.strerror or str(error), about
            ) from None


def clone(
    ops: tuple[Op, ...],
    context: Context,
    flags: CLONE,
    cgroup: bytes | None,
    hierarchy: Hierarchy,
    pid_namespace: int = -1,
) -> Cloned:
    """`cgroup`, when it is born there; `pid_namespace`: a descriptor to join first, for good."""
    # Packets, so that one message is one read; and both ways, so that it can be answered.
    ours, theirs = socketpair()
    into = hierarchy.directory_fd(cgroup) if cgroup is not None else None
    open_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if pid_namespace >= 0:
        setns(pid_namespace, CLONE.NEWPID)
    pid, pidfd = clone3(flags, cgroup=into)
    if pid == 0:
        os.close(ours)
        context.report = theirs
        child.run(list(ops), context, open_files)
    os.close(theirs)
    os.close(pidfd)
    if into is not None:
        os.close(into)
    return Cloned(pid, ours, steps(ops))
