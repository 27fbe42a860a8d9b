"""A process that the keeper clones: until it has executed its program, and until its end."""

from __future__ import annotations

import errno
import marshal
import os
import signal
import socket
import time

from engine.linux.flags import CLONE
from engine.linux.namespace import clone3, in_user_namespace, setns
from engine.linux.pidfd import pidfd_exit_status, pidfd_open, pidfd_send_signal
from engine.linux.process import has_executed, zombie_status
from engine.runtime import child, wire
from engine.runtime.ops.base import Context, Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from engine.runtime.keeper.loop import Loop

_REPORT = 64 * 1024


class StartFailure(Exception):
    """(operation, its object, errno, text, what the text is about)."""


class Died(StartFailure):
    """It ended before it could execute the program, and has not said why."""


def _nobody(*_: object) -> None:
    """Whoever is not interested."""


def _among(pids: int, flags: int, cgroup: int | None) -> tuple[int, int]:
    """clone3(2) into the pid namespace of another process. Only children enter one: ours, from here
    until we are back."""
    own = os.open(b"/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    pid = -1
    try:
        setns(pids, CLONE.NEWPID)
        pid, pidfd = clone3(flags, cgroup=cgroup)
    finally:
        if pid:
            setns(own, CLONE.NEWPID)
        os.close(own)
    return pid, pidfd


def _guided(pids: int, flags: int, cgroup: int | None) -> tuple[int, int]:
    """clone3(2) into the pid namespace of another process, for whom there would be no way back.

    Only children enter a pid namespace, and to return to our own, so that later ones do not, takes
    rights in it that a user namespace does not give. So a child goes there, and has one for us.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    guide, held = clone3(0)
    if guide == 0:
        answer = 0
        try:
            setns(pids, CLONE.NEWPID)
            answer, _ = clone3(flags, cgroup=cgroup, sibling=True)
            if answer == 0:
                return 0, -1
        except OSError as error:
            answer = -(error.errno or errno.EIO)
        os.write(writer, b"%d" % answer)
        os._exit(0)
    os.close(writer)
    answer = int(os.read(reader, 32))
    os.close(reader)
    os.waitid(os.P_PIDFD, held, os.WEXITED)
    os.close(held)
    if answer < 0:
        raise OSError(-answer, os.strerror(-answer), "its pid namespace")
    return answer, pidfd_open(answer)


class Process:
    """A child between clone and exec, with a socket to it (see child.py), and then until its end.

    ops         what it does: all of it, once somebody asks how it went
    on_begun    it has done the first of several parts
    on_ready    it has done all but the exec
    on_start    is given the trace, (name, object, microseconds) of each, or a StartFailure
    on_exit     only after a start: exit code (128 + signal for one, None when nobody can tell),
                signal
    """

    def __init__(self, loop: Loop, around: Callable[[], list[int]] = list) -> None:
        """`around`: pids that may be of its session."""
        self.pid = self.pidfd = -1
        self.ops: list[Op] = []
        self.on_begun: Callable[[], None] = _nobody
        self.on_ready: Callable[[], None] = _nobody
        self.on_start: Callable[[Any], None] = _nobody
        self.on_exit: Callable[[int | None, int | None], None] = _nobody
        self.warnings: list[str] = []
        self._loop = loop
        self._around = around
        self._sock: socket.socket | None = None
        self._said: tuple[Any, ...] = ("",)
        self._let_go = 0
        self._held = False

    @classmethod
    def adopted(
        cls, loop: Loop, pid: int, pidfd: int, around: Callable[[], list[int]] = list
    ) -> Process:
        """One that runs its program already, a child of ours or not. `pidfd` becomes its own."""
        process = cls(loop, around)
        process.pid, process.pidfd = pid, pidfd
        loop.add(pidfd, process._ended)
        return process

    @property
    def starting(self) -> bool:
        """Whether it is not known yet what has become of its exec."""
        return self._sock is not None

    def clone(
        self,
        flags: int,
        cgroup: int | None,
        context: Context,
        run: Callable[[], NoReturn],
        *,
        pids: int = -1,
    ) -> None:
        """`run` is all that the child does, with `context`; `cgroup`: the v2 one to be born in,
        closed here; `pids`: a process in whose pid namespace it is born, as a pidfd. Raise OSError
        when it cannot be cloned."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                if pids < 0:
                    self.pid, self.pidfd = clone3(flags, cgroup=cgroup)
                elif in_user_namespace():
                    self.pid, self.pidfd = _guided(pids, flags, cgroup)
                else:
                    self.pid, self.pidfd = _among(pids, flags, cgroup)
            except OSError:
                ours.close()
                raise
            finally:
                if cgroup is not None:
                    os.close(cgroup)
            if self.pid == 0:
                # Ours too: with a copy of it in its hands it would never see us go.
                ours.close()
                context.report = theirs.fileno()
                run()
        self._sock = ours
        self._loop.add(ours.fileno(), self._hear)

    def send(self, *message: Any, fds: tuple[int, ...] = ()) -> None:
        """What it waits for. Nothing when it has ended, which on_start is told soon."""
        assert self._sock is not None
        packet = wire.Packet(message, fds)
        try:
            packet.send(self._sock)
        except (BrokenPipeError, ConnectionResetError):
            packet.close()

    def let_go(self, *, held: bool = False) -> None:
        """Nothing keeps it from its program any more: from here on the end of its socket tells that
        it has executed it. `held`: it waits for this word."""
        self._let_go, self._held = time.monotonic_ns(), held
        if held and self._sock is not None:
            try:
                self._sock.send(child.GO)
            except (BrokenPipeError, ConnectionResetError):
                self._let_go = 0

    def _hear(self) -> None:
        assert self._sock is not None
        try:
            data = self._sock.recv(_REPORT)
        except ConnectionResetError:
            # It ended, and had not read everything. What it said is still to be heard.
            self._let_go = 0
            return
        if data:
            self._said = marshal.loads(data)
            if self._said[0] == "begun":
                self.on_begun()
            elif self._said[0] == "ready":
                self.on_ready()
            return
        ended = time.monotonic_ns()
        self._loop.remove(self._sock.fileno())
        self._sock.close()
        self._sock = None
        self._outcome(ended)

    def _outcome(self, now: int) -> None:
        """Either the exec happened, or it has ended or is about to."""
        word, *facts = self._said
        on_start, ops = self.on_start, self.ops
        self.on_start = self.on_ready = self.on_begun = _nobody
        self.ops = []
        if word == "ready" and self._let_go and (not self._held or has_executed(self.pid)):
            trace, self.warnings, began = facts
            trace.append((now - max(began, self._let_go)) // 1000)
            self._loop.add(self.pidfd, self._ended)
            named = zip(ops, trace, strict=True)
            on_start([(op.NAME, op.about, us) for op, us in named])
            return
        code, _ = self._reap()
        if word == "failed":
            index, number, text, about = facts
            op = ops[index]
            on_start(StartFailure(op.NAME, op.about, number, text, about))
        else:
            text = f"its process ended ({code}) before it could execute the program"
            on_start(Died("set-up", "", 0, text, ""))

    def _ended(self) -> None:
        self._loop.remove(self.pidfd)
        self.on_exit(*self._reap())

    def _reap(self) -> tuple[int | None, int | None]:
        """Exit code, and signal; it has ended, or is about to."""
        status = _wait_status(self.pid, self.pidfd)
        os.close(self.pidfd)
        self.pidfd = -1
        if status is None:
            return None, None
        if os.WIFEXITED(status):
            return os.WEXITSTATUS(status), None
        return 128 + os.WTERMSIG(status), os.WTERMSIG(status)

    def end(self) -> None:
        """One that has not started: kill it, wait, and tell nobody; fine when it has ended."""
        if self._sock is not None:
            self._loop.remove(self._sock.fileno())
            self._sock.close()
            self._sock = None
        if self.pidfd >= 0:
            pidfd_send_signal(self.pidfd, signal.SIGKILL)
            self._reap()

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


def _wait_status(pid: int, pidfd: int) -> int | None:
    """How a process ended. One that another keeper cloned is not our child: as long as its parent
    has not reaped it /proc tells, and afterwards the kernel does (6.15); else nobody can."""
    try:
        found = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    except ChildProcessError:
        status = zombie_status(pid)
    else:
        assert found is not None
        return found.si_status << 8 if found.si_code == os.CLD_EXITED else found.si_status
    try:
        # The pid was still its own, and not that of a later one.
        pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        status = None
    if status is not None:
        return status
    try:
        return pidfd_exit_status(pidfd)
    except OSError:
        return None


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return -1


def failure(name: str, about: str, error: OSError) -> StartFailure:
    named = error.filename
    text = os.fsdecode(named) if isinstance(named, bytes) else str(named or "")
    return StartFailure(name, about, error.errno or 0, error.strerror or str(error), text)
