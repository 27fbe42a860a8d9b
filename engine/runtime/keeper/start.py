"""A container's way from its plan to its program.

Its process works while we do: it is cloned, or handed the rest of its plan, at once, and is given
its standard streams, without which it does not go on to its program, only when its cgroup has its
limits and its log is open.
"""

from __future__ import annotations

import time

from engine.runtime import child
from engine.runtime.keeper.logs import Log
from engine.runtime.keeper.process import Died, Process, StartFailure, failure
from engine.runtime.keeper.streams import Streams
from engine.runtime.ops.base import Context
from engine.runtime.ops.codec import decode
from engine.runtime.ops.rootfs import Overlay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from engine.linux.doorstep import Doorstep
    from engine.runtime.cgroup.api import Hierarchy
    from engine.runtime.keeper.loop import Loop
    from engine.runtime.keeper.prepared import Prepared
    from engine.runtime.ops.base import Op


Timed = tuple[str, str, int]
"""An operation's name, its object, microseconds."""


class Ground:
    """What every start of a node stands on. `open_files`: the RLIMIT_NOFILE of containers."""

    def __init__(
        self, loop: Loop, hierarchy: Hierarchy, open_files: tuple[int, int], doorstep: Doorstep
    ) -> None:
        self.loop = loop
        self.hierarchy = hierarchy
        self.open_files = open_files
        self.doorstep = doorstep


class Start:
    """`config` is what runtime.py sends: the plan, encoded, and where it belongs.

    process, streams    the container's, from begin() on
    on_start    is told the trace, or a StartFailure, after which nothing is left but the cgroup
    """

    def __init__(
        self, ground: Ground, config: dict[str, Any], namespaces: dict[str, int], pids: int
    ) -> None:
        """`pids`: a pidfd whose pid namespace it is born in, or -1."""
        self.process = Process(ground.loop)
        self.streams: Streams | None = None
        self.on_start: Callable[[Any], None]
        self._ground = ground
        self._config = config
        self._namespaces = namespaces
        self._pids = pids
        self._log: Log | None = None
        self._begun: list[Timed] = []
        self._limits: list[Timed] = []
        self._streams_at = 0
        self._ahead = 0
        self._going = False

    def begin(self, prepared: Prepared | None = None) -> None:
        """To the program. `prepared`: a process that has begun already. Raise StartFailure."""
        self._going = True
        self._send_on_its_way(prepared, hold=False)
        self.process.let_go()

    def hold(self, prepared: Prepared | None, on_ready: Callable[[], None]) -> None:
        """To where only the exec is missing, which go() is. Raise StartFailure."""
        self._send_on_its_way(prepared, hold=True)
        self.process.on_ready = on_ready

    def go(self) -> None:
        """What hold() held executes its program. Raise StartFailure."""
        try:
            self._open_log()
        except StartFailure:
            self.end()
            raise
        began = time.monotonic_ns()
        self._going = True
        self.process.let_go(held=True)
        self._ahead = len(self._config["child_ops"]) - 1
        # What was done ahead took no time of this start.
        self._begun = [_handed_over("to a process that waits to execute its program", began)]

    def end(self) -> None:
        """Kill what has not started, and close its streams; fine when there is nothing."""
        self.process.end()
        for op in map(decode, self._config["child_ops"]):
            if isinstance(op, Overlay):
                try:
                    op.renew()
                except OSError:
                    # Whoever mounts it again is told.
                    continue
        if self.streams is not None:
            self.streams.close()
            self.streams = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def _open_log(self) -> None:
        path = self._config["log_path"]
        try:
            self._log = Log(path)
            self._log.begin()
        except OSError as error:
            raise failure("log", path, error) from None

    def _send_on_its_way(self, prepared: Prepared | None, *, hold: bool) -> None:
        try:
            if prepared is None:
                self._begun = self._apply(self._config["host_ops"])
                self._begun.append(self._clone())
            else:
                began = time.monotonic_ns()
                self.process = prepared.hand_over(self._config)
                self._ahead = len(prepared.config["child_ops"])
                text = f"to a process that is {self._ahead} operations ahead"
                self._begun = [_handed_over(text, began)]
            self.process.on_start = self._started
            self._limits = self._apply(self._config["limit_ops"])
            if not hold:
                self._open_log()
            self.process.ops = ops = [decode(op) for op in self._config["child_ops"]]
            self._streams_at = next((n for n, op in enumerate(ops) if op.STREAMS), len(ops) - 1)
            self._give_streams(ops, hold=hold)
        except BaseException:
            self.end()
            raise

    def _apply(self, encoded: list[tuple[Any, ...]]) -> list[Timed]:
        trace = []
        context = Context(self._ground.hierarchy)
        for op in map(decode, encoded):
            began = time.monotonic_ns()
            try:
                op.apply(context)
            except OSError as error:
                raise failure(op.NAME, op.about, error) from None
            trace.append((op.NAME, op.about, _since(began)))
        return trace

    def _clone(self) -> Timed:
        ground, config = self._ground, self._config
        context = Context(ground.hierarchy)
        context.namespaces = self._namespaces
        began = time.monotonic_ns()
        try:
            born = ground.hierarchy.directory_fd(config["cgroup"]) if config["born"] else None
            self.process.clone(
                config["clone_flags"],
                born,
                context,
                # Decoded by the child, while we go on.
                lambda: child.run(
                    map(decode, config["child_ops"]),
                    context,
                    ground.open_files,
                    doorstep=ground.doorstep,
                ),
                pids=self._pids,
            )
        except OSError as error:
            raise failure("clone", config["id"], error) from None
        return "clone", config["id"], _since(began)

    def _give_streams(self, ops: list[Op], *, hold: bool) -> None:
        context = Context(self._ground.hierarchy)
        self.streams = Streams(ops, self._ground.loop)
        try:
            self.streams.open(context)
            ends = {name: getattr(context, name) for name in child.ENDS}
            ends = {name: fd for name, fd in ends.items() if fd >= 0}
            self.process.send(hold, tuple(ends), fds=tuple(ends.values()))
        except OSError as error:
            raise failure("streams", self._config["id"], error) from None
        finally:
            self.streams.let_go()

    def _started(self, outcome: Any) -> None:
        if isinstance(outcome, Died) and self._going and self._ahead:
            self._start_over()
        elif isinstance(outcome, StartFailure):
            self.end()
            self.on_start(outcome)
        else:
            assert self.streams is not None
            assert self._log is not None
            self.streams.begin(self._log)
            self.on_start(self._begun + self._merged(outcome))

    def _merged(self, done: list[Timed]) -> list[Timed]:
        """Of its operations those that took time of this start, ours among them (see Plan.work)."""
        ahead, streams = self._ahead, self._streams_at
        return (
            done[ahead:] if ahead > streams else done[ahead:streams] + self._limits + done[streams:]
        )

    def _start_over(self) -> None:
        """Whatever ended a process that was prepared says nothing of one that is not."""
        self.end()
        self.process = Process(self._ground.loop)
        self._ahead = 0
        try:
            self.begin()
        except StartFailure as error:
            self.on_start(error)


def _handed_over(text: str, began: int) -> Timed:
    return "hand-over", text, _since(began)


def _since(began: int) -> int:
    return (time.monotonic_ns() - began) // 1000
