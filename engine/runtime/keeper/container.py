"""One container's life as its keeper sees it: started, running, ended; and execs beside it."""

from __future__ import annotations

import errno
import os
import time

from engine.linux.flags import CLONE
from engine.linux.namespace import setns
from engine.linux.pidfd import pidfd_send_signal
from engine.runtime.keeper.logs import Log
from engine.runtime.keeper.process import Process, StartFailure, failure
from engine.runtime.keeper.streams import Streams
from engine.runtime.ops.base import Context
from engine.runtime.ops.cgroups import JoinContainer
from engine.runtime.ops.codec import decode
from engine.runtime.ops.process import Exec, User
from engine.runtime.ops.stdio import Stdio, Terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from engine.runtime.cgroup.api import Hierarchy
    from engine.runtime.keeper.loop import Loop
    from engine.runtime.keeper.prepared import Prepared

# Of a container's operations those that an exec repeats after it has joined, with its own stdio.
_REPEATED = frozenset(
    {
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
        self._streams: Streams | None = None
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
        prepared: Prepared | None,
        on_start: Callable[[StartFailure | None], None],
        on_exit: Callable[[], None],
    ) -> None:
        """`prepared`: a process that has begun already, which stays the caller's if it is not used.

        Raise StartFailure for what fails before the child exists; else `on_start` is told.
        """
        context = Context(self._hierarchy)
        context.namespaces = namespaces
        done = prepared.done if prepared is not None else (0, 0)
        trace = self._prepare(context, self._host_ops[done[0] :])
        ops = [decode(op) for op in self._child_ops]
        try:
            self._streams = streams = Streams(ops, Log(self.state["log_path"]), self._loop)
        except OSError as error:
            raise failure("log", self.state["log_path"], error) from None
        began = time.monotonic_ns()

        def started(outcome: Any) -> None:
            if isinstance(outcome, StartFailure):
                self.close()
                on_start(outcome)
                return
            streams.begin()
            self.state["started_at"] = time.time()
            self.state["trace"] = trace + outcome[ahead:]
            self.state["warnings"] = process.warnings
            # What an exec does not need again: host operations, mounts.
            self._host_ops = []
            kept = (op for op in self._child_ops if op[0] in _REPEATED | {Exec.NAME})
            self._child_ops = [self._child_ops[0], *kept]
            on_start(None)

        def exited(code: int, number: int | None) -> None:
            self._exited(code, number)
            on_exit()

        self._process = process = Process(self._loop, ops, started, exited, list)
        try:
            streams.open(context)
            ahead = self._take(prepared, process, context)
            if not ahead:
                self._clone(process, context, open_files)
        except OSError as error:
            self.close()
            raise failure("clone", self.id, error) from None
        finally:
            streams.let_go()
        # What was done ahead took no time of this start.
        how = ("hand-over", f"to a process that is {ahead} operations ahead")
        name, about = how if ahead else ("clone", self.id)
        trace.append((name, about, (time.monotonic_ns() - began) // 1000))
        self.state["pid"] = process.pid

    def _prepare(self, context: Context, ops: list[tuple[Any, ...]]) -> list[tuple[str, str, int]]:
        trace = []
        for op in map(decode, ops):
            began = time.monotonic_ns()
            try:
                op.apply(context)
            except OSError as error:
                raise failure(op.NAME, op.about, error) from None
            trace.append((op.NAME, op.about, (time.monotonic_ns() - began) // 1000))
        return trace

    def _take(self, prepared: Prepared | None, process: Process, context: Context) -> int:
        """How many operations are done; 0 when there is no process that has done any."""
        if prepared is None:
            return 0
        _, ahead = prepared.done
        try:
            process.take(prepared, context, self._child_ops[ahead:])
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                raise
            return 0
        return ahead

    def _clone(self, process: Process, context: Context, open_files: tuple[int, int]) -> None:
        cgroup = self._hierarchy.directory_fd(self.cgroup) if self._born else None
        try:
            process.clone(self._clone_flags, context, cgroup, open_files)
        finally:
            if cgroup is not None:
                os.close(cgroup)

    def _exited(self, code: int, number: int | None) -> None:
        # With the first process its whole pid namespace has ended, so the pipes hold all there is.
        if self._streams is not None:
            self._streams.drain()
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
        """Its input, its outputs and its log."""
        if self._streams is not None:
            self._streams.close()
            self._streams = None

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

    def attach(self, outputs: dict[str, int]) -> tuple[bool, int]:
        """Copy its outputs into these pipes from now on. Gives whether it has a terminal, and the
        descriptor that writes to it, which stays ours, or -1. Raise OSError(ESRCH)."""
        self._pidfd()
        assert self._streams is not None
        for name, fd in outputs.items():
            self._streams.attach(name, os.dup(fd))
        return self._streams.terminal, self._streams.input

    def end_input(self) -> None:
        """Fine when that was long ago."""
        if self._streams is not None:
            self._streams.end_input()

    def exec(
        self,
        argv: tuple[bytes, ...],
        context: Context,
        own_pid_namespace: int,
        open_files: tuple[int, int],
        on_start: Callable[[Any], None],
        on_exit: Callable[[int, int | None], None],
    ) -> Process:
        """Run another process in it, confined as the first one, on the pipes or the console that
        are in `context`. Raise StartFailure, OSError."""
        context.pidfd = pidfd = self._pidfd()
        join, *confine, last = map(decode, self._child_ops)
        assert isinstance(last, Exec)
        uid = next(op.uid for op in confine if isinstance(op, User))
        terminal, env = context.console >= 0, last.env
        if terminal and not any(entry.startswith(b"TERM=") for entry in env):
            env = (*env, b"TERM=xterm")
        stdio = Terminal(uid) if terminal else Stdio(uid, context.stdin >= 0)
        ops = [join, JoinContainer(), stdio, *confine, Exec(argv, env)]
        process = Process(self._loop, ops, on_start, on_exit, self._pids)
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

    def _pids(self) -> list[int]:
        try:
            return self._hierarchy.procs(self.cgroup)
        except FileNotFoundError:
            return []
