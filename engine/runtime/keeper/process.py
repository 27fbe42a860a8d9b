"""A process that the keeper clones: until it has executed its program, and until its end."""

from __future__ import annotations

import os
import signal
import time

from engine.linux.flags import CLONE
from engine.linux.namespace import clone3
from engine.linux.pidfd import pidfd_send_signal
from engine.runtime import child
from engine.runtime.ops.base import Context, Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from engine.runtime.keeper.loop import Loop
    from engine.runtime.keeper.prepared import Prepared


class StartFailure(Exception):
    """(operation, its object, errno, text, what the text is about)."""


class Process:
    """A child between clone and exec, and then until it has ended."""

    def __init__(
        self,
        loop: Loop,
        ops: list[Op],
        on_start: Callable[[Any], None],
        on_exit: Callable[[int, int | None], None],
        around: Callable[[], list[int]],
    ) -> None:
        """`on_start` is given the trace, or a StartFailure; `on_exit`, only after a start, how it
        ended: exit code (128 + signal for one), signal. `around`: pids that may be of its session.
        """
        self.pid = self.pidfd = -1
        self.warnings: list[str] = []
        self._loop = loop
        self._ops = ops
        self._on_start = on_start
        self._on_exit = on_exit
        self._around = around
        self._report = -1
        self._data = b""
        self._prepared: Prepared | None = None

    def clone(
        self, flags: CLONE | int, context: Context, cgroup: int | None, open_files: tuple[int, int]
    ) -> None:
        """Raise OSError when even that fails."""

        def cloned() -> tuple[int, int]:
            pid, pidfd = clone3(flags, cgroup=cgroup)
            if pid == 0:
                child.run(self._ops, context, open_files)
            return pid, pidfd

        self._begin(context, cloned)

    def take(self, prepared: Prepared, context: Context, rest: list[tuple[Any, ...]]) -> None:
        """Instead of clone(): one that has done all but `rest`. Raise OSError when it is gone."""
        self._begin(context, lambda: prepared.hand_over(context, rest))
        self._prepared = prepared

    def _begin(self, context: Context, get: Callable[[], tuple[int, int]]) -> None:
        reader, context.report = os.pipe2(os.O_CLOEXEC)
        try:
            self.pid, self.pidfd = get()
        except OSError:
            os.close(reader)
            raise
        finally:
            os.close(context.report)
        self._report = reader
        self._loop.add(reader, self._read)

    def _read(self) -> None:
        data = os.read(self._report, 65536)
        if data:
            self._data += data
            return
        self._loop.remove(self._report)
        os.close(self._report)
        self._report = -1
        self._started(time.monotonic_ns())

    def _started(self, now: int) -> None:
        """The report is complete: either the exec happened, or the child is ending."""
        reports = child.reports(self._data)
        self._data = b""
        if self._prepared is not None:
            # Not before: an end in which a byte was not read resets the other one.
            self._prepared.sock.close()
            self._prepared = None
        if reports and reports[-1][0] == "ready":
            _, trace, self.warnings, began = reports[-1]
            trace.append((now - began) // 1000)
            self._loop.add(self.pidfd, self._ended)
            named = zip(self._ops, trace, strict=True)
            self._on_start([(op.NAME, op.about, us) for op, us in named])
        else:
            code, _ = self._reap()
            if reports:
                _, index, number, text, about = reports[-1]
                op = self._ops[index]
                self._on_start(StartFailure(op.NAME, op.about, number, text, about))
            else:
                text = f"its process ended ({code}) before it could execute the program"
                self._on_start(StartFailure("set-up", "", 0, text, ""))
        self._ops = []

    def _ended(self) -> None:
        self._loop.remove(self.pidfd)
        self._on_exit(*self._reap())

    def _reap(self) -> tuple[int, int | None]:
        """Exit code, and signal; it has ended, or is about to."""
        found = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        os.close(self.pidfd)
        self.pidfd = -1
        assert found is not None
        if found.si_code == os.CLD_EXITED:
            return found.si_status, None
        return 128 + found.si_status, found.si_status

    def signal_session(self, number: int) -> None:
        """To its process group, which it leads unless it has only just been cloned."""
        if self.pidfd < 0:
            return
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pidfd_send_signal(self.pidfd, number)

    def kill_session(self) -> None:
        """SIGKILL to it and to the jobs of its shell, whose process groups are their own."""
        self.signal_session(signal.SIGKILL)
        if self.pidfd < 0:
            return
        # Once more after each that was found, for what it may have forked meanwhile.
        killed: set[int] = set()
        while found := {p for p in self._around() if _session(p) == self.pid} - killed:
            for pid in found:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            killed |= found


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return -1


def failure(name: str, about: str, error: OSError) -> StartFailure:
    named = error.filename
    text = os.fsdecode(named) if isinstance(named, bytes) else str(named or "")
    return StartFailure(name, about, error.errno or 0, error.strerror or str(error), text)
