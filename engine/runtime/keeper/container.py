"""One container's life as its keeper sees it: started, running, ended; and execs beside it."""

from __future__ import annotations

import errno
import os
import time
from functools import partial

from engine.linux.flags import CLONE
from engine.linux.pidfd import pidfd_send_signal
from engine.runtime import child
from engine.runtime.keeper.logs import Log
from engine.runtime.keeper.process import Process, StartFailure
from engine.runtime.keeper.start import Start
from engine.runtime.keeper.streams import Streams
from engine.runtime.ops.base import Context
from engine.runtime.ops.cgroups import JoinCgroup, JoinContainer
from engine.runtime.ops.codec import decode
from engine.runtime.ops.process import Exec, User
from engine.runtime.ops.stdio import Stdio, Terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from engine.runtime.keeper.prepared import Prepared
    from engine.runtime.keeper.start import Ground
    from engine.runtime.ops.base import Op

    OnExit = Callable[["Container"], None]

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


# Of `config` what is needed as long as the container runs, beside the operations above.
_KEPT = ("id", "sandbox", "cgroup", "born", "clone_flags", "labels", "log_path")


_OVER = {"born": False, "clone_flags": 0, "child_ops": []}


class Container:
    """`config` is what runtime.py sends: the plan, encoded, and where it belongs."""

    def __init__(
        self,
        config: dict[str, Any],
        ground: Ground,
        namespaces: dict[str, int],
        pids: int = -1,
    ) -> None:
        """`pids`: a pidfd whose pid namespace it is born in, where it does not get its own."""
        self.id: str = config["id"]
        self.sandbox: str = config["sandbox"]
        self.cgroup: bytes = config["cgroup"]
        self._config = {name: config[name] for name in _KEPT}
        self._born: bool = config["born"]
        self._ground = ground
        self._own_pids = bool(config["clone_flags"] & CLONE.NEWPID)
        self._start: Start | None = Start(ground, config, namespaces, pids)
        self._streams: Streams | None = None
        self._process: Process | None = None
        self._again: list[tuple[Any, ...]] = [
            op for op in config["child_ops"] if op[0] in _REPEATED | {Exec.NAME, JoinCgroup.NAME}
        ]
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
            "paused": False,
            "trace": [],
            "warnings": [],
        }

    @classmethod
    def ended(cls, state: dict[str, Any], ground: Ground) -> Container:
        """One of which only its last state is left."""
        container = cls({**state, **_OVER}, ground, {})
        container.state, container._start = state, None
        return container

    @classmethod
    def adopted(
        cls, kept: dict[str, Any], fds: dict[str, int], ground: Ground, on_exit: OnExit
    ) -> Container:
        """One that another keeper started, from its kept() and descriptors(), ours from now on."""
        container = cls(kept["config"], ground, {})
        container.state, container._start = kept["state"], None
        process = fds.pop("process", -1)
        log = Log(container.state["log_path"])
        log.dropped = kept["streams"].get("dropped", 0)
        container._streams = Streams.adopted(fds, kept["streams"], log, ground.loop)
        if process < 0:
            container._drain()
        else:
            container._process = Process.adopted(ground.loop, container.state["pid"], process)
            container._watch(on_exit)
        return container

    def kept(self) -> dict[str, Any]:
        """What another keeper has to know to go on with it, once it has started."""
        config = {**self._config, "child_ops": self._again}
        streams = {} if self._streams is None else self._streams.kept()
        return {"config": config, "state": self.state, "streams": streams}

    def descriptors(self) -> dict[str, int]:
        """What another keeper needs to have, by name; they stay ours. None when it has ended."""
        if self._streams is None or self._process is None:
            return {}
        return {"process": self._process.pidfd, **self._streams.descriptors()}

    def unfinished(self) -> dict[str, Any]:
        """Of its streams what changes all the time."""
        return {} if self._streams is None else self._streams.unfinished()

    @property
    def starting(self) -> bool:
        """Whether it is not known yet if it becomes what it shall be."""
        return self._start is not None

    def start(
        self,
        prepared: Prepared | None,
        on_start: Callable[[StartFailure | None], None],
        on_exit: OnExit,
    ) -> None:
        """`prepared`: a process that has begun already, now ours.

        Raise StartFailure for what fails while we are at it; else `on_start` is told.
        """
        self._awaited(on_start, on_exit).begin(prepared)

    def create(self, prepared: Prepared | None, on_ready: Callable[[bool], None]) -> None:
        """All but the exec. `on_ready` is told when that is done, or that it has failed, be it
        later. Raise StartFailure."""
        start = self._awaited(lambda _: on_ready(False), lambda _: None)
        start.hold(prepared, lambda: on_ready(True))

    def go(self, on_start: Callable[[StartFailure | None], None], on_exit: OnExit) -> None:
        """What was created executes its program; otherwise like start()."""
        self._awaited(on_start, on_exit).go()

    def discard(self) -> None:
        """One that has not started: end its process."""
        if self._start is not None:
            self._start.end()

    def _awaited(self, on_start: Callable[[StartFailure | None], None], on_exit: OnExit) -> Start:
        start = self._start
        assert start is not None

        def started(outcome: Any) -> None:
            if isinstance(outcome, StartFailure):
                on_start(outcome)
                return
            self._process, self._streams, self._start = start.process, start.streams, None
            self._watch(on_exit)
            self.state["pid"] = self._process.pid
            self.state["started_at"] = time.time()
            self.state["trace"] = outcome
            self.state["warnings"] = self._process.warnings
            on_start(None)

        start.on_start = started
        return start

    def _watch(self, on_exit: OnExit) -> None:
        def exited(code: int | None, number: int | None) -> None:
            self._exited(code, number)
            on_exit(self)

        assert self._process is not None
        self._process.on_exit = exited

    def _exited(self, code: int | None, number: int | None) -> None:
        if not self._own_pids:
            # What it has begun in a namespace of others does not end with it.
            self._ground.hierarchy.kill(self.cgroup)
        self._drain()
        self.state["finished_at"] = time.time()
        self.state["exit_code"] = code
        self.state["signal"] = number
        self.state["paused"] = False
        if code != 0 and self._oom_kills():
            self.state["oom_killed"] = True

    def _oom_kills(self) -> int:
        try:
            return self._ground.hierarchy.sample(self.cgroup).oom_kills
        except OSError:
            # A hierarchy without the memory controller cannot limit memory, nor kill for it.
            return 0

    def _drain(self) -> None:
        """Log what is left: with the first process its whole pid namespace has ended, so the pipes
        hold all there is."""
        if self._streams is not None:
            self._streams.drain()
        self.close()

    def close(self) -> None:
        """Its input, its outputs and its log."""
        if self._streams is not None:
            self._streams.close()
            self._streams = None

    @property
    def running(self) -> bool:
        """Whether its first process exists, be it only about to become what it shall be."""
        process = self._start.process if self._start is not None else self._process
        return process is not None and process.pidfd >= 0

    def signal(self, number: int) -> None:
        """To its first process. Raise OSError(ESRCH) when that has ended."""
        pidfd_send_signal(self.held(), number)

    def pause(self, paused: bool) -> None:
        """Stop all its processes where they are, or let them go on. Raise OSError(ESRCH)."""
        self.held()
        self._ground.hierarchy.freeze(self.cgroup, paused)
        self.state["paused"] = paused

    def held(self) -> int:
        """The pidfd of its first process, which stays ours. Raise OSError(ESRCH)."""
        if self._process is None or self._process.pidfd < 0:
            raise OSError(errno.ESRCH, "it is not running", self.id)
        return self._process.pidfd

    def attach(self, outputs: dict[str, int]) -> tuple[bool, int]:
        """Copy its outputs into these pipes from now on. Gives whether it has a terminal, and the
        descriptor that writes to it, which stays ours, or -1. Raise OSError(ESRCH)."""
        self.held()
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
        on_start: Callable[[Any], None],
        on_exit: Callable[[int | None, int | None], None],
    ) -> Process:
        """Run another process in it, confined as the first one, on the pipes or the console that
        are in `context`. Raise StartFailure, OSError."""
        context.pidfd = pidfd = self.held()
        if self.state["paused"]:
            # It would be born frozen, and whoever asked would wait for ever.
            raise OSError(errno.EBUSY, "it is paused: resume it first", self.id)
        ops = self._exec_ops(argv, context)
        process = Process(self._ground.loop, self.pids)
        process.ops, process.on_start, process.on_exit = ops, on_start, on_exit
        cgroup = self._ground.hierarchy.directory_fd(self.cgroup) if self._born else None
        open_files = self._ground.open_files
        run = partial(child.run, ops, context, open_files)
        process.clone(0, cgroup, context, run, pids=pidfd)
        process.let_go()
        return process

    def _exec_ops(self, argv: tuple[bytes, ...], context: Context) -> list[Op]:
        join, *confine, last = map(decode, self._again)
        assert isinstance(last, Exec)
        uid = next(op.uid for op in confine if isinstance(op, User))
        terminal, env = context.console >= 0, last.env
        if terminal and not any(entry.startswith(b"TERM=") for entry in env):
            env = (*env, b"TERM=xterm")
        stdio = Terminal(uid, False) if terminal else Stdio(uid, context.stdin >= 0)
        return [join, JoinContainer(), stdio, *confine, Exec(argv, env)]

    def pids(self) -> list[int]:
        """Of every process in its cgroup."""
        try:
            return self._ground.hierarchy.procs(self.cgroup)
        except FileNotFoundError:
            return []
