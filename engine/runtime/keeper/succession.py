"""A keeper that becomes another program in place: execve(2) keeps its pid, so its children stay its
children, and nothing that happens meanwhile is lost: exits wait to be reaped, output in its pipes.

The new program is first tried in a process of its own. Only then descriptors are made inheritable,
their numbers written into a sealed memfd, and the program executed on it. Until the kernel has done
that, any failure leaves everything as it was.
"""

from __future__ import annotations

import errno
import fcntl
import marshal
import os
import signal
import time

from engine.linux.pidfd import pidfd_open
from engine.runtime.interpreter import seal_again

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from engine.runtime.keeper.loop import Loop

FORMAT = 1
"""Of the facts. A program that goes on from one of another format says so when it is tried."""

CHECK, START, GO_ON = "check", "start", "go-on"
"""What serve.py is to do with the number that follows: of the format, or of a descriptor."""

_FINE = b"fine"
_TRIAL_S = 10.0
# How long requests may be kept waiting for the starts under way, and how often to look.
_QUIET_S, _GLANCE_S = 5.0, 0.001
_WORDS = 4096
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Program:
    """`interpreter` and `words` that run serve.py, all but what it is to do."""

    __slots__ = ("interpreter", "words")

    def __init__(self, interpreter: str, words: tuple[str, ...]) -> None:
        self.interpreter = interpreter
        self.words = words

    def command(self, how: str, number: int) -> list[str]:
        return [self.interpreter, *self.words, how, str(number)]


class Trial:
    """The new program, run for nothing but to see that it runs and knows our facts."""

    def __init__(self, program: Program, loop: Loop, told: Callable[[str], None]) -> None:
        """`told` what is wrong with it, or "". Raise OSError when it cannot even be executed."""
        self._loop = loop
        self._told = told
        self._said = b""
        self._reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            actions = [(os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_DUP2, writer, 2)]
            command = program.command(CHECK, FORMAT)
            self._pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
        except OSError:
            os.close(self._reader)
            raise
        finally:
            os.close(writer)
        self._pidfd = pidfd_open(self._pid)
        loop.add(self._pidfd, self._ended)
        loop.after(_TRIAL_S, self._hurry)

    def _ended(self) -> None:
        self._loop.remove(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        _, status = os.waitpid(self._pid, 0)
        os.set_blocking(self._reader, False)
        try:
            said = os.read(self._reader, _WORDS).strip()
        except BlockingIOError:
            said = b""
        os.close(self._reader)
        if status == 0 and said == _FINE:
            self._told("")
        else:
            last = said.splitlines()[-1:] or [b"it ended without a word"]
            self._told(last[0].decode(errors="replace"))

    def _hurry(self) -> None:
        """One that neither runs nor ends."""
        if self._pidfd >= 0:
            os.kill(self._pid, signal.SIGKILL)


def check(format: int) -> int:
    """What the program that is tried says, and its exit status."""
    if format == FORMAT:
        os.write(1, _FINE)
        return 0
    os.write(1, b"it knows facts of format %d, not %d" % (FORMAT, format))
    return 1


class Bequest:
    """The descriptors that outlive an exec."""

    def __init__(self) -> None:
        self._fds: list[int] = []

    def give(self, *fds: int) -> None:
        self._fds += fds

    def execute(self, program: Program, facts: dict[str, Any]) -> None:
        """Does not return. Raise OSError, and leave everything as it was, when it cannot be."""
        undo = seal_again(os.fsencode(program.interpreter))
        memfd = os.memfd_create("keeper", os.MFD_ALLOW_SEALING)
        try:
            with open(memfd, "wb", closefd=False) as file:
                file.write(marshal.dumps(facts))
            fcntl.fcntl(memfd, fcntl.F_ADD_SEALS, _SEALS)
            for fd in self._fds:
                os.set_inheritable(fd, True)
            command = program.command(GO_ON, memfd)
            os.execv(command[0], command)
        except OSError:
            for fd in self._fds:
                os.set_inheritable(fd, False)
            undo()
            raise
        finally:
            os.close(memfd)


class Succession:
    """One try of it."""

    def __init__(
        self,
        program: Program,
        loop: Loop,
        *,
        starting: Callable[[], bool],
        listen: Callable[[bool], None],
        bequeath: Callable[[Bequest], dict[str, Any]],
        failed: Callable[[OSError], None],
    ) -> None:
        """`starting`: whether a process has yet to report; `listen`: whether to take requests;
        `failed`: we stay what we are. Raise OSError when it cannot be tried."""
        self._program = program
        self._loop = loop
        self._starting = starting
        self._listen = listen
        self._bequeath = bequeath
        self._failed = failed
        self._deadline = 0.0
        Trial(program, loop, self._tried)

    def _tried(self, wrong: str) -> None:
        if wrong:
            self._failed(OSError(errno.ENOEXEC, wrong, "the new program"))
            return
        self._listen(False)
        self._deadline = time.monotonic() + _QUIET_S
        self._when_quiet()

    def _when_quiet(self) -> None:
        """Execute it as soon as every start has been reported."""
        starting = self._starting()
        if starting and time.monotonic() < self._deadline:
            self._loop.after(_GLANCE_S, self._when_quiet)
            return
        try:
            if starting:
                raise OSError(errno.EBUSY, f"a start lasts longer than {_QUIET_S:g} s", "keeper")
            bequest = Bequest()
            bequest.execute(self._program, self._bequeath(bequest))
        except OSError as error:
            self._listen(True)
            self._failed(error)


def inherited(memfd: int) -> dict[str, Any]:
    """The facts. Each descriptor in them is to be taken()."""
    with open(memfd, "rb") as file:
        file.seek(0)
        facts: dict[str, Any] = marshal.loads(file.read())
    return facts


def taken(fd: int) -> int:
    """An inherited descriptor, which goes no further."""
    os.set_inheritable(fd, False)
    return fd
