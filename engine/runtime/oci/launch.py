"""Cloning the process of a container, and hearing from it until it is created or has become what
it shall be. The process that runs this has one thread, and ends soon after."""

from __future__ import annotations

import marshal
import os
import resource
import socket

from engine.linux.flags import CLONE
from engine.linux.namespace import clone3, setns
from engine.runtime import child
from engine.runtime.errors import StartError
from engine.runtime.oci.gate import GO
from engine.runtime.ops.base import Context, Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.runtime.cgroup.api import Hierarchy

_MESSAGE = 65536


class Cloned:
    """A child, and the socket that it reports on. `steps`: what it does, and to what."""

    def __init__(self, pid: int, report: socket.socket, steps: list[tuple[str, str]]) -> None:
        self.pid = pid
        self.report = report
        self.steps = steps
        self.warnings: list[str] = []

    def listen(self, until: str, answers: Mapping[str, Callable[[], None]]) -> None:
        """Do what it asks for, until it says `until`, and nothing more in the case of "ready".

        Raise StartError when it fails, and whatever an answer raises.
        """
        heard = False
        while data := self.report.recv(_MESSAGE):
            kind, *facts = marshal.loads(data)
            if kind == "failed":
                index, number, text, about = facts
                name, object = self.steps[index]
                raise StartError(name, object, number, text, about)
            if kind == until:
                self.warnings = facts[0] if until == "created" else facts[1]
                if until == "created":
                    return
                heard = True
            elif kind in answers:
                answers[kind]()
                self.report.send(GO)
        if not heard:
            text = "its process ended before it could execute the program"
            raise StartError("set-up", "", 0, text, "")

    def reap(self) -> None:
        """It has failed, and ends when nobody answers it."""
        self.report.close()
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
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    into = hierarchy.directory_fd(cgroup) if cgroup is not None else None
    open_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if pid_namespace >= 0:
        setns(pid_namespace, CLONE.NEWPID)
    pid, pidfd = clone3(flags, cgroup=into)
    if pid == 0:
        ours.close()
        context.report = theirs.detach()
        child.run(list(ops), context, open_files)
    theirs.close()
    os.close(pidfd)
    if into is not None:
        os.close(into)
    return Cloned(pid, ours, steps(ops))
