"""Processes held by a descriptor, so that a reused pid can never be meant by mistake."""

from engine.linux.call import syscall


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
