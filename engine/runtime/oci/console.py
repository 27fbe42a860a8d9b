"""Terminals: the socket that takes one from a container, and ours joined to it."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import termios
import tty

from engine.linux import terminal
from engine.runtime.wire import receive_fd

_CHUNK = 65536


def connect(path: str) -> socket.socket:
    """The console socket that we were told to send the terminal to. Raise OSError naming it."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"console socket: {error.strerror}", path) from None
    return sock


def own_size() -> tuple[int, int]:
    """(columns, rows) of our terminal, (0, 0) without one."""
    if not os.isatty(0):
        return 0, 0
    rows, columns, _, _ = struct.unpack("=4H", fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8))
    return columns, rows


class Relay:
    """Our own terminal joined to the container's, until that is closed.

    `theirs`, to be given to the container, takes its terminal; receive() has it then.
    """

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._master = -1
        self._before: list[object] | None = None

    def receive(self) -> None:
        """Raise OSError when none comes."""
        self.theirs.close()
        self._master = receive_fd(self._ours)
        self._ours.close()
        if os.isatty(0):
            self._before = termios.tcgetattr(0)
            tty.setraw(0)
        self.resize()

    def resize(self) -> None:
        """As ours is, when we have one."""
        if os.isatty(0):
            terminal.resize(self._master, *own_size())

    @property
    def fd(self) -> int:
        return self._master

    def forward_input(self) -> bool:
        """What is typed. False when there is no more."""
        data = os.read(0, _CHUNK)
        if not data:
            return False
        _write(self._master, data)
        return True

    def forward_output(self) -> bool:
        """What is shown. False when the other end is closed by everyone (EIO)."""
        try:
            data = os.read(self._master, _CHUNK)
        except OSError:
            return False
        if data:
            _write(1, data)
        return bool(data)

    def drain(self) -> None:
        """What was written before the end."""
        while select.select([self._master], [], [], 0)[0] and self.forward_output():
            pass

    def close(self) -> None:
        if self._before is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, self._before)  # type: ignore[arg-type]
        if self._master >= 0:
            os.close(self._master)


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
