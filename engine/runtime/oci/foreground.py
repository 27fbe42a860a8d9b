"""Staying with a process that was started: its terminal, our signals to it, its end."""

from __future__ import annotations

import os
import select

from engine.linux.pidfd import pidfd_open, pidfd_send_signal
from engine.linux.signals import SIG, read_signals, set_mask, signalfd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from engine.runtime.oci.console import Relay

# All but those that tell us about ourselves, and that nobody can wait for.
_OWN = {SIG.KILL, SIG.STOP, SIG.CHLD, SIG.PIPE, SIG.SEGV, SIG.BUS, SIG.ILL, SIG.FPE}
_WATCHED = frozenset(range(1, 65)) - _OWN


class Foreground:
    """From before the process exists: no signal sent meanwhile is lost."""

    def __init__(self, relay: Relay | None) -> None:
        self._relay = relay
        # Whoever we clone undoes this before it executes anything (ops/process.py, Signals).
        set_mask(_WATCHED)
        self._signals = signalfd(_WATCHED)

    @property
    def relays(self) -> bool:
        """Whether our terminal is joined to its."""
        return self._relay is not None

    def take_terminal(self) -> None:
        """Once it has one, and before its program runs, which may ask how large it is."""
        if self._relay is not None:
            self._relay.receive()

    def wait(self, pid: int) -> int:
        """Until it ends. Its exit status, 128 + the signal for one."""
        try:
            self._until_end(pid)
        finally:
            if self._relay is not None:
                self._relay.close()
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    def _until_end(self, pid: int) -> None:
        pidfd = pidfd_open(pid)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.register(self._signals, select.POLLIN)
        if self._relay is not None:
            poll.register(self._relay.fd, select.POLLIN)
            poll.register(0, select.POLLIN)
        ended = False
        while not ended:
            for fd, _ in poll.poll():
                if fd == self._signals:
                    self._pass_on(pidfd)
                elif fd == pidfd:
                    ended = True
                else:
                    self._copy(fd, poll)
        if self._relay is not None:
            self._relay.drain()
        os.close(pidfd)

    def _copy(self, fd: int, poll: select.poll) -> None:
        assert self._relay is not None
        more = self._relay.forward_input() if fd == 0 else self._relay.forward_output()
        if not more:
            poll.unregister(fd)

    def _pass_on(self, pidfd: int) -> None:
        for number in read_signals(self._signals):
            if number == SIG.WINCH:
                if self._relay is not None:
                    self._relay.resize()
                continue
            try:
                pidfd_send_signal(pidfd, number)
            except ProcessLookupError:
                return
