"""What runs between clone and exec: apply every operation, and tell the keeper how it went.

The child writes to a close-on-exec pipe, whose end without a failure means that the exec happened:

    ("ready", microseconds of each operation, warnings, monotonic ns)     just before the last one
    ("failed", index of the operation, errno, text, object)
"""

from __future__ import annotations

import gc
import io
import marshal
import os
import resource
import time

from engine.linux.process import close_range
from engine.runtime.ops.base import Context, Op, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any, NoReturn


ENDS = ("report", "stdin", "stdout", "stderr", "console")
"""Of a Context's descriptors those that a process which was prepared is sent."""


def run(
    ops: list[Op], context: Context, open_files: tuple[int, int], done: tuple[int, ...] = ()
) -> NoReturn:
    """Become the container's process, or end with status 127. `open_files`: its RLIMIT_NOFILE;
    `done`: what the operations took that were applied for it before."""
    trace = [*done]
    try:
        _begin(open_files)
        _execute(ops, context, trace)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the keeper must hear of it
        fail(error, context, trace)
    os._exit(127)


def wait(
    ops: list[Op], context: Context, open_files: tuple[int, int], sock: socket.socket
) -> NoReturn:
    """The same in two parts: apply `ops`, tell so by a byte, and wait on `sock` for (names of ENDS,
    the other ops encoded) with those descriptors. A failure waits too, for one to hear of it."""
    # What only a keeper needs, and has.
    from engine.runtime import wire
    from engine.runtime.ops.codec import decode

    trace: list[int] = []
    failure: BaseException | None = None
    try:
        _close_all_but(sock.fileno(), *context.namespaces.values())
        _begin(open_files)
        apply(ops, context, trace)
        _close_all_but(sock.fileno(), context.root, context.stage)
    except BaseException as error:  # noqa: BLE001
        failure = error
    try:
        sock.send(b"r")
        received = wire.receive(sock)
        if received is None:
            os._exit(0)
        (ends, rest), fds = received
        sock.close()
        for name, fd in zip(ends, fds, strict=True):
            setattr(context, name, fd)
        if failure is not None:
            raise failure
        _execute([decode(op) for op in rest], context, trace)
    except BaseException as error:  # noqa: BLE001
        fail(error, context, trace)
    os._exit(127)


def _begin(open_files: tuple[int, int]) -> None:
    # A collection would touch, and so copy, every page that we share with the keeper.
    gc.disable()
    os.setsid()
    resource.setrlimit(resource.RLIMIT_NOFILE, open_files)


def apply(ops: list[Op], context: Context, trace: list[int]) -> None:
    """One after the other, each adding the microseconds it took. Raise OSError."""
    for op in ops:
        began = time.monotonic_ns()
        op.apply(context)
        trace.append((time.monotonic_ns() - began) // 1000)


def _execute(ops: list[Op], context: Context, trace: list[int]) -> None:
    """The last one executes the program."""
    *before, last = ops
    apply(before, context, trace)
    _send(context.report, ("ready", trace, context.warnings, time.monotonic_ns()))
    last.apply(context)


def _close_all_but(*kept: int) -> None:
    """Of ours beyond the standard three: the keeper's, and so the ends of other containers."""
    first = 3
    for fd in sorted(fd for fd in kept if fd >= first):
        if fd > first:
            close_range(first, fd - 1)
        first = fd + 1
    close_range(first, ~0)


def fail(error: BaseException, context: Context, trace: list[int]) -> None:
    """Tell that the operation after those in `trace` failed."""
    if isinstance(error, OSError):
        number, text, about = error.errno or 0, error.strerror or str(error), _about(error)
    else:
        number, text, about = 0, repr(error), ""
    _send(context.report, ("failed", len(trace), number, text, about))


def _about(error: OSError) -> str:
    name = error.filename
    return shown(name) if isinstance(name, bytes) else str(name or "")


def _send(pipe: int, message: tuple[object, ...]) -> None:
    os.write(pipe, marshal.dumps(message))  # type: ignore[arg-type]


def reports(data: bytes) -> list[tuple[Any, ...]]:
    """The messages that a child wrote."""
    stream = io.BytesIO(data)
    found = []
    while stream.tell() < len(data):
        found.append(marshal.load(stream))
    return found
