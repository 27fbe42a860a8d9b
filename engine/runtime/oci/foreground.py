"""Staying with a process that was started: its terminal, our signals to it, its end."""

from __future__ import annotations

import os
import select
import signal

from engine.linux.pidfd import pidfd_open, pidfd_send_signal
from engine.runtime.oci.console import Relay

# All but those that tell us about ourselves.
_FORWARDED = {
    s
    for s in signal.Signals
    if s not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGWINCH)
}


class Foreground:
    """From before the process exists: no signal sent meanwhile is lost."""

    def __init__(self, relay: Relay | None) -> None:
        self._relay = relay
        self._wakeup, self._woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)

    @property
    def relays(self) -> bool:
        """Whether our terminal is joined to its."""
        return self._relay is not None

    def begin(self) -> None:
        """Once it is cloned, so that it inherits none of this."""
        for number in (*_FORWARDED, signal.SIGWINCH):
            try:
                signal.signal(number, lambda *_: None)
            except (OSError, ValueError):
                # Reserved by the C library.
                continue

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
        poll.register(self._wakeup, select.POLLIN)
        if self._relay is not None:
            poll.register(self._relay.fd, select.POLLIN)
            poll.register(0, select.POLLIN)
        ended = False
        while not ended:
            for fd, _ in poll.poll():
                if fd == self._wakeup:
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
        for number in os.read(self._wakeup, 4096):
            if number == signal.SIGWINCH:
                if self._relay is not None:
                    self._relay.resize()
                continue
            try:
                pidfd_send_signal(pidfd, number)
            except ProcessLookupError:
                return
