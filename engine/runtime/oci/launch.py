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
    from collections.abc import Callable

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
            raise _failed(op.NAME, op.about, error) from None


def _failed(step: str, object: str, error: OSError) -> StartError:
    name = error.filename
    about = os.fsdecode(name) if isinstance(name, bytes) else str(name or "")
    return StartError(step, object, error.errno or 0, error.strerror or str(error), about)


def clone(
    ops: tuple[Op, ...],
    context: Context,
    flags: CLONE,
    cgroup: bytes | None,
    hierarchy: Hierarchy,
    *,
    pid_namespace: int = -1,
    ahead: tuple[Op, ...] = (),
) -> Cloned:
    """`cgroup`, when it is born there; `pid_namespace`: a descriptor to join first, for good.

    ahead   what is done before it is cloned, by one who goes there and does not come back
    """
    # Packets, so that one message is one read; and both ways, so that it can be answered.
    ours, theirs = socketpair()
    into = hierarchy.directory_fd(cgroup) if cgroup is not None else None
    open_files = resource.getrlimit(resource.RLIMIT_NOFILE)

    def born(sibling: bool, done: tuple[int, ...]) -> int:
        if pid_namespace >= 0:
            _join_pids(pid_namespace)
        pid, pidfd = clone3(flags, cgroup=into, sibling=sibling)
        if pid == 0:
            os.close(ours)
            context.report = theirs
            child.run(list(ops), context, open_files, done)
        os.close(pidfd)
        return pid

    try:
        pid = _beyond(ahead, context, theirs, born) if ahead else born(False, ())
    except OSError as error:
        os.close(ours)
        raise _failed("clone", "", error) from None
    finally:
        os.close(theirs)
        if into is not None:
            os.close(into)
    return Cloned(pid, ours, steps((*ahead, *ops)))


def _join_pids(namespace: int) -> None:
    """For whom we clone from now on. `namespace`: of it, or of a process in it."""
    try:
        setns(namespace, CLONE.NEWPID)
    except OSError as error:
        path = os.readlink(f"/proc/self/fd/{namespace}")
        text = f"{error.strerror}: is it a pid namespace?"
        raise OSError(error.errno, text, path) from None


def _beyond(
    ahead: tuple[Op, ...],
    context: Context,
    report: int,
    born: Callable[[bool, tuple[int, ...]], int],
) -> int:
    """Clone it from where `ahead` leads; it is our child. Its pid, or that of who failed there and
    has told so on `report`."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    guide, pidfd = clone3(CLONE(0))
    if guide == 0:
        trace: list[int] = []
        context.report = report
        try:
            child.apply(list(ahead), context, trace)
            os.write(writer, b"%d" % born(True, tuple(trace)))
        except BaseException as error:  # noqa: BLE001 - told to who started us
            child.fail(error, context, trace)
        os._exit(0)
    os.close(pidfd)
    os.close(writer)
    # Once: the other end stays open in whom it has cloned.
    found = os.read(reader, 32)
    os.close(reader)
    if not found:
        return guide
    os.waitpid(guide, 0)
    return int(found)
