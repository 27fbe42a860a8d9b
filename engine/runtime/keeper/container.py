"""One container's life as its keeper sees it: started, running, ended; and execs beside it."""

from __future__ import annotations

import errno
import os
import signal
import time

from engine.linux.flags import CLONE
from engine.linux.namespace import clone3, setns
from engine.linux.pidfd import pidfd_send_signal
from engine.runtime import child
from engine.runtime.keeper.logs import Log, Stream
from engine.runtime.ops.base import Context, Op
from engine.runtime.ops.cgroups import JoinContainer
from engine.runtime.ops.codec import decode
from engine.runtime.ops.process import Exec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from engine.runtime.cgroup.api import Hierarchy
    from engine.runtime.keeper.loop import Loop

# Of a container's operations those that an exec repeats after it has joined.
_REPEATED = frozenset(
    {
        "stdio",
        "workdir",
        "rlimits",
        "bounding",
        "user",
        "capabilities",
        "no-new-privileges",
        "seccomp",
        "signals",
        "close-descriptors",
    }
)


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
    ) -> None:
        """`on_start` is given the trace, or a StartFailure; `on_exit`, only after a start, how it
        ended: exit code (128 + signal for one), signal."""
        self.pid = self.pidfd = -1
        self.warnings: list[str] = []
        self._loop = loop
        self._ops = ops
        self._on_start = on_start
        self._on_exit = on_exit
        self._report = -1
        self._data = b""

    def clone(
        self, flags: CLONE | int, context: Context, cgroup: int | None, open_files: tuple[int, int]
    ) -> None:
        """Raise OSError when even that fails."""
        reader, context.report = os.pipe2(os.O_CLOEXEC)
        try:
            self.pid, self.pidfd = clone3(flags, cgroup=cgroup)
            if self.pid == 0:
                child.run(self._ops, context, open_files)
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

    def kill_session(self) -> None:
        """SIGKILL to its process group, which it leads unless it has only just been cloned."""
        if self.pidfd < 0:
            return
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pidfd_send_signal(self.pidfd, signal.SIGKILL)


class Container:
    """`config` is what runtime.py sends: the plan, encoded, and where it belongs."""

    def __init__(self, config: dict[str, Any], loop: Loop, hierarchy: Hierarchy) -> None:
        self.id: str = config["id"]
        self.sandbox: str = config["sandbox"]
        self.cgroup: bytes = config["cgroup"]
        self._born: bool = config["born"]
        self._clone_flags: int = config["clone_flags"]
        self._host_ops: list[tuple[Any, ...]] = config["host_ops"]
        self._child_ops: list[tuple[Any, ...]] = config["child_ops"]
        self._loop = loop
        self._hierarchy = hierarchy
        self._streams: list[Stream] = []
        self._log: Log | None = None
        self._process: Process | None = None
        self.state: dict[str, Any] = {
            "id": self.id,
            "sandbox": self.sandbox,
            "labels": config["labels"],
            "log_path": config["log_path"],
            "cgroup": self.cgroup,
            "pid": 0,
            "started_at": 0.0,
            "finished_at": None,
            "exit_code": None,
            "signal": None,
            "oom_killed": False,
            "trace": [],
            "warnings": [],
        }

    def start(
        self,
        namespaces: dict[str, int],
        open_files: tuple[int, int],
        on_start: Callable[[StartFailure | None], None],
        on_exit: Callable[[], None],
    ) -> None:
        """Raise StartFailure for what fails before the child exists; else `on_start` is told."""
        context = Context(self._hierarchy)
        context.namespaces = namespaces
        trace = self._prepare(context)
        began = time.monotonic_ns()

        def started(outcome: Any) -> None:
            if isinstance(outcome, StartFailure):
                self.close()
                on_start(outcome)
                return
            self.state["started_at"] = time.time()
            self.state["trace"] = trace + outcome
            self.state["warnings"] = process.warnings
            # What an exec does not need again: host operations, mounts.
            self._host_ops = []
            kept = (op for op in self._child_ops if op[0] in _REPEATED | {Exec.NAME})
            self._child_ops = [self._child_ops[0], *kept]
            on_start(None)

        def exited(code: int, number: int | None) -> None:
            self._exited(code, number)
            on_exit()

        ops = [decode(op) for op in self._child_ops]
        self._process = process = Process(self._loop, ops, started, exited)
        try:
            self._clone(process, context, open_files)
        except OSError as error:
            self.close()
            raise _failure("clone", self.id, error) from None
        trace.append(("clone", self.id, (time.monotonic_ns() - began) // 1000))
        self.state["pid"] = process.pid

    def _prepare(self, context: Context) -> list[tuple[str, str, int]]:
        trace = []
        for op in map(decode, self._host_ops):
            began = time.monotonic_ns()
            try:
                op.apply(context)
            except OSError as error:
                raise _failure(op.NAME, op.about, error) from None
            trace.append((op.NAME, op.about, (time.monotonic_ns() - began) // 1000))
        try:
            self._log = Log(self.state["log_path"])
        except OSError as error:
            raise _failure("log", self.state["log_path"], error) from None
        return trace

    def _clone(self, process: Process, context: Context, open_files: tuple[int, int]) -> None:
        assert self._log is not None
        ends = [os.pipe2(os.O_CLOEXEC) for _ in range(2)]
        (out, context.stdout), (err, context.stderr) = ends
        for fd, name in ((out, b"stdout"), (err, b"stderr")):
            os.set_blocking(fd, False)
            self._add(Stream(fd, name, self._log))
        cgroup = self._hierarchy.directory_fd(self.cgroup) if self._born else None
        try:
            process.clone(self._clone_flags, context, cgroup, open_files)
        finally:
            os.close(context.stdout)
            os.close(context.stderr)
            if cgroup is not None:
                os.close(cgroup)

    def _add(self, stream: Stream) -> None:
        def pump() -> None:
            if stream.pump() == 0:
                self._remove(stream)

        self._streams.append(stream)
        self._loop.add(stream.fd, pump)

    def _remove(self, stream: Stream) -> None:
        self._streams.remove(stream)
        self._loop.remove(stream.fd)
        os.close(stream.fd)

    def _exited(self, code: int, number: int | None) -> None:
        # With the first process its whole pid namespace has ended, so the pipes hold all there is.
        for stream in self._streams:
            while stream.pump() > 0:
                pass
        self.close()
        self.state["finished_at"] = time.time()
        self.state["exit_code"] = code
        self.state["signal"] = number
        if code and self._oom_kills():
            self.state["oom_killed"] = True

    def _oom_kills(self) -> int:
        try:
            return self._hierarchy.sample(self.cgroup).oom_kills
        except OSError:
            # A hierarchy without the memory controller cannot limit memory, nor kill for it.
            return 0

    def close(self) -> None:
        """Its outputs and its log."""
        for stream in list(self._streams):
            stream.end()
            self._remove(stream)
        if self._log is not None:
            self._log.close()
            self._log = None

    @property
    def running(self) -> bool:
        """Whether its first process exists, be it only about to become what it shall be."""
        return self._process is not None and self._process.pidfd >= 0

    def signal(self, number: int) -> None:
        """To its first process. Raise OSError(ESRCH) when that has ended."""
        pidfd_send_signal(self._pidfd(), number)

    def _pidfd(self) -> int:
        if self._process is None or self._process.pidfd < 0:
            raise OSError(errno.ESRCH, "it is not running", self.id)
        return self._process.pidfd

    def exec(
        self,
        argv: tuple[bytes, ...],
        output: int,
        own_pid_namespace: int,
        open_files: tuple[int, int],
        on_start: Callable[[Any], None],
        on_exit: Callable[[int, int | None], None],
    ) -> Process:
        """Run another process in it, confined as the first one. Raise StartFailure, OSError."""
        pidfd = self._pidfd()
        context = Context(self._hierarchy)
        context.pidfd = pidfd
        context.stdout = context.stderr = output
        *kept, last = map(decode, self._child_ops)
        assert isinstance(last, Exec)
        join, *confine = kept
        ops = [join, JoinContainer(), *confine, Exec(argv, last.env)]
        process = Process(self._loop, ops, on_start, on_exit)
        cgroup = self._hierarchy.directory_fd(self.cgroup) if self._born else None
        try:
            # Only children enter a pid namespace: ours, from here until we are back.
            setns(pidfd, CLONE.NEWPID)
            process.clone(0, context, cgroup, open_files)
        finally:
            setns(own_pid_namespace, CLONE.NEWPID)
            if cgroup is not None:
                os.close(cgroup)
        return process


def _failure(name: str, about: str, error: OSError) -> StartFailure:
    named = error.filename
    text = os.fsdecode(named) if isinstance(named, bytes) else str(named or "")
    return StartFailure(name, about, error.errno or 0, error.strerror or str(error), text)
