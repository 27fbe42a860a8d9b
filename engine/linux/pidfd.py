"""Processes held by a descriptor, so that a reused pid can never be meant by mistake."""

import fcntl
import struct

from engine.linux.call import syscall

# linux/pidfd.h: struct pidfd_info as it first was, and _IOWR(0xFF, 11) of it.
_INFO = struct.Struct("=QQ11Ii")
_GET_INFO = 3 << 30 | _INFO.size << 16 | 0xFF << 8 | 11
_INFO_EXIT = 1 << 3


def pidfd_open(pid: int, flags: int = 0) -> int:
    """pidfd_open(2), Linux 5.3. The descriptor is readable once the process has ended."""
    return syscall("pidfd_open", pid, flags, about=f"pid {pid}")


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """pidfd_getfd(2), Linux 5.6: a descriptor, close-on-exec, of what another's `fd` is of.

    Takes the right to trace it, ptrace(2).
    """
    return syscall("pidfd_getfd", pidfd, fd, 0, about=f"descriptor {fd}")


def pidfd_send_signal(fd: int, sig: int) -> None:
    """pidfd_send_signal(2), Linux 5.1."""
    syscall("pidfd_send_signal", fd, sig, None, 0, about=f"signal {int(sig)}")


def pidfd_exit_status(fd: int) -> int | None:
    """PIDFD_GET_INFO with PIDFD_INFO_EXIT, Linux 6.15: the wait status of a process that anybody
    has reaped; None of one that nobody has yet. Raise OSError(ENOTTY, EINVAL) on older kernels."""
    asked = _INFO.pack(_INFO_EXIT, *[0] * 12, 0)
    mask, *_, status = _INFO.unpack(fcntl.ioctl(fd, _GET_INFO, asked))
    return status if mask & _INFO_EXIT else None
