"""What runs between clone and exec: apply every operation, and tell the keeper how it went.

It may be given all operations at once, or some, and the others later; and as a container's process
it waits, before it takes its standard streams, for the word that its cgroup has its limits. It
writes to the descriptor `report`, whose end after "ready" means that the exec happened:

    ("begun",)      of several parts the first is done
    ("ready", microseconds of each operation, warnings, monotonic ns)       all but the exec is
    ("failed", index of the operation, errno, text, object)

and, where that is a socket, reads from it, in this order:

    (operations, encoded)                the others
    (hold, names of ENDS), with these    its cgroup has its limits
    GO                                   execute; asked for only with `hold`
"""

from __future__ import annotations

import gc
import marshal
import os
import resource
import time

from engine.linux.process import close_range
from engine.runtime.ops.base import Context, Op, shown
from engine.runtime.ops.process import Exec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn

    from engine.linux.doorstep import Doorstep

ENDS = ("stdin", "stdout", "stderr", "console")
"""Of a Context's descriptors those that a container's process is sent."""

GO = b"."


def run(
    ops: Iterable[Op],
    context: Context,
    open_files: tuple[int, int],
    done: tuple[int, ...] = (),
    *,
    doorstep: Doorstep | None = None,
) -> NoReturn:
    """Become the container's process, or end with status 127. `open_files`: its RLIMIT_NOFILE;
    `done`: what the operations took that were applied for it before; `doorstep`: where it can be
    told to hold."""
    trace = [*done]
    try:
        _begin(open_files)
        _execute(list(ops), context, trace, doorstep)
        os._exit(127)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the keeper must hear of it
        fail(error, context, trace)


def begin(
    ops: Iterable[Op], context: Context, open_files: tuple[int, int], doorstep: Doorstep
) -> NoReturn:
    """The same in two parts: apply `ops`, tell so, and wait for the others. A failure waits too,
    for one to hear of it."""
    from engine.runtime.ops.codec import decode

    trace: list[int] = []
    failure: BaseException | None = None
    try:
        _close_all_but(context.report, *context.namespaces.values())
        _begin(open_files)
        apply(ops, context, trace)
        _close_all_but(context.report, context.root, context.stage)
    except BaseException as error:  # noqa: BLE001
        failure = error
    try:
        _tell(context, ("begun",))
        rest, _ = _hear(context)
        if failure is not None:
            raise failure
        _execute([decode(op) for op in rest], context, trace, doorstep)
        os._exit(127)
    except BaseException as error:  # noqa: BLE001
        fail(error, context, trace)


def _begin(open_files: tuple[int, int]) -> None:
    # A collection would touch, and so copy, every page that we share with the keeper.
    gc.disable()
    os.setsid()
    resource.setrlimit(resource.RLIMIT_NOFILE, open_files)


def apply(ops: Iterable[Op], context: Context, trace: list[int]) -> None:
    """One after the other, each adding the microseconds it took. Raise OSError."""
    for op in ops:
        began = time.monotonic_ns()
        op.apply(context)
        trace.append((time.monotonic_ns() - began) // 1000)


def _execute(ops: list[Op], context: Context, trace: list[int], doorstep: Doorstep | None) -> None:
    """The last one executes the program."""
    hold = False
    *before, last = ops
    streams = next((n for n, op in enumerate(before) if op.STREAMS), len(before))
    apply(before[:streams], context, trace)
    if max(context.stdout, context.console) < 0 and streams < len(before):
        hold = _take_ends(context)
    apply(before[streams:], context, trace)
    if hold:
        assert doorstep is not None
        assert isinstance(last, Exec)
        env = tuple(b"%s=%s" % variable for variable in last.variables().items())
        doorstep.lay_down(context.report, last.find(), last.argv, env)
        _tell_ready(context, trace)
        doorstep.wait()
    _tell_ready(context, trace)
    last.apply(context)


def _tell_ready(context: Context, trace: list[int]) -> None:
    _tell(context, ("ready", trace, context.warnings, time.monotonic_ns()))


def _take_ends(context: Context) -> bool:
    """Whether to hold before the exec."""
    (hold, names), fds = _hear(context)
    for name, fd in zip(names, fds, strict=True):
        setattr(context, name, fd)
    return bool(hold)


def _hear(context: Context) -> tuple[tuple[Any, ...], list[int]]:
    # What only a keeper needs, and has.
    import socket

    from engine.runtime import wire

    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=context.report)
    received = wire.receive(sock)
    sock.detach()
    if received is None:
        os._exit(0)
    return received


def _close_all_but(*kept: int) -> None:
    """Of ours beyond the standard three: the keeper's, and so the ends of other containers."""
    first = 3
    for fd in sorted(fd for fd in kept if fd >= first):
        if fd > first:
            close_range(first, fd - 1)
        first = fd + 1
    close_range(first, ~0)


def fail(error: BaseException, context: Context, trace: list[int]) -> NoReturn:
    """Tell that the operation after those in `trace` failed, and end: heard or not, what comes
    next is for whoever cloned us to do."""
    try:
        if isinstance(error, OSError):
            number, text, about = error.errno or 0, error.strerror or str(error), _about(error)
        else:
            number, text, about = 0, repr(error), ""
        _tell(context, ("failed", len(trace), number, text, about))
    finally:
        os._exit(127)


def _about(error: OSError) -> str:
    name = error.filename
    return shown(name) if isinstance(name, bytes) else str(name or "")


def _tell(context: Context, message: tuple[object, ...]) -> None:
    os.write(context.report, marshal.dumps(message))  # type: ignore[arg-type]
