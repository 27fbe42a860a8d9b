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

from engine.runtime.ops.base import Context, Op, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


def run(ops: list[Op], context: Context, open_files: tuple[int, int]) -> NoReturn:
    """Become the container's process, or end with status 127. `open_files`: its RLIMIT_NOFILE."""
    # A collection would touch, and so copy, every page that we share with the keeper.
    gc.disable()
    trace: list[int] = []
    last = len(ops) - 1
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_NOFILE, open_files)
        for index, op in enumerate(ops):
            began = time.monotonic_ns()
            if index == last:
                _send(context.report, ("ready", trace, context.warnings, began))
            op.apply(context)
            trace.append((time.monotonic_ns() - began) // 1000)
    except OSError as error:
        text = error.strerror or str(error)
        _send(context.report, ("failed", len(trace), error.errno or 0, text, _about(error)))
    except BaseException as error:  # noqa: BLE001 - whatever it is, the keeper must hear of it
        _send(context.report, ("failed", len(trace), 0, repr(error), ""))
    os._exit(127)


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
