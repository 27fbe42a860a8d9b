"""Pseudoterminals: pty(7), ioctl_tty(2)."""

import fcntl
import os
import struct

# <asm-generic/ioctls.h>, the same on x86-64 and arm64.
_TIOCSCTTY = 0x540E
_TIOCSWINSZ = 0x5414
_TIOCGPTPEER = 0x5441
_TIOCSPTLCK = 0x40045431


def unlock(master: int) -> None:
    """TIOCSPTLCK, as unlockpt(3): until then the other end cannot be opened."""
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("=i", 0))


def peer(master: int) -> int:
    """TIOCGPTPEER (Linux 4.13): the other end, close-on-exec, and nobody's controlling terminal.

    By the master alone, never by a path, which in another's mount namespace proves nothing.
    """
    return fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def take(slave: int) -> None:
    """TIOCSCTTY: make it the controlling terminal of our session, which we lead."""
    fcntl.ioctl(slave, _TIOCSCTTY, 0)


def resize(fd: int, columns: int, rows: int) -> None:
    """TIOCSWINSZ; who is in the foreground gets SIGWINCH when that is a change."""
    fcntl.ioctl(fd, _TIOCSWINSZ, struct.pack("=4H", rows, columns, 0, 0))
