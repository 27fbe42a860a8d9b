"""What a process may do and how it is known: prctl(2), capset(2), close_range(2), proc(5)."""

import ctypes
import errno
import struct

from engine.linux.call import check, libc, syscall
from engine.linux.flags import CLOSE_RANGE, PR

_prctl = libc.prctl
_prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)

_DROP = int(PR.CAPBSET_DROP)
_CAPABILITIES = 64
"""How many a mask can hold."""
_PR_CAP_AMBIENT_RAISE = 2
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_LINUX_CAPABILITY_VERSION_3 = 0x20080522
_LOW = 0xFFFFFFFF


def prctl(option: PR | int, arg2: int = 0, arg3: int = 0, arg4: int = 0, arg5: int = 0) -> int:
    """prctl(2), for the options whose arguments are numbers."""
    return check(_prctl(option, arg2, arg3, arg4, arg5), option)


def set_no_new_privs() -> None:
    """PR_SET_NO_NEW_PRIVS: execve(2) no longer grants anything; cannot be undone."""
    prctl(PR.SET_NO_NEW_PRIVS, 1)


def set_dumpable(dumpable: bool) -> None:
    """PR_SET_DUMPABLE. Undumpable, a process cannot be traced, nor its /proc/PID/exe be opened."""
    prctl(PR.SET_DUMPABLE, int(dumpable))


def set_child_subreaper(enabled: bool = True) -> None:
    """PR_SET_CHILD_SUBREAPER: orphaned descendants become our children."""
    prctl(PR.SET_CHILD_SUBREAPER, int(enabled))


def set_pdeathsig(sig: int) -> None:
    """PR_SET_PDEATHSIG: the signal we get when the *thread* that created us ends; 0 for none."""
    prctl(PR.SET_PDEATHSIG, sig)


def set_name(name: bytes) -> None:
    """PR_SET_NAME: what ps(1) shows as the command, cut to 15 bytes."""
    buffer = ctypes.create_string_buffer(name[:15])
    prctl(PR.SET_NAME, ctypes.addressof(buffer))


def drop_bounding(keep: int) -> None:
    """Remove from the bounding set every capability whose bit is not in `keep` (CAP_SETPCAP)."""
    for capability in range(_CAPABILITIES):
        if not keep >> capability & 1 and _prctl(_DROP, capability, 0, 0, 0) == -1:
            # Beyond the running kernel's last one.
            if ctypes.get_errno() == errno.EINVAL:
                return
            check(-1, f"capability {capability}")


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) of this thread, each set as a mask of 1 << CAP."""
    header = struct.pack("=Ii", _LINUX_CAPABILITY_VERSION_3, 0)
    sets = (effective, permitted, inheritable)
    data = struct.pack("=6I", *(s & _LOW for s in sets), *(s >> 32 for s in sets))
    syscall("capset", header, data, about=f"capabilities {permitted:#x}")


def capget() -> tuple[int, int, int]:
    """capget(2) of this thread: the effective, permitted and inheritable masks."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", _LINUX_CAPABILITY_VERSION_3, 0), 8)
    data = ctypes.create_string_buffer(24)
    syscall("capget", header, data, about="capabilities")
    low_e, low_p, low_i, high_e, high_p, high_i = struct.unpack("=6I", data.raw)
    return high_e << 32 | low_e, high_p << 32 | low_p, high_i << 32 | low_i


def ambient_raise(capability: int) -> None:
    """PR_CAP_AMBIENT_RAISE: keep a permitted and inheritable capability over execve(2)."""
    prctl(PR.CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)


def ambient_clear() -> None:
    """PR_CAP_AMBIENT_CLEAR_ALL."""
    prctl(PR.CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)


def close_range(first: int, last: int, flags: CLOSE_RANGE | int = 0) -> None:
    """close_range(2), Linux 5.9: descriptors `first` to `last` inclusive; ~0 is the last of all."""
    syscall("close_range", first, last & _LOW, flags, about=f"descriptors {first} to {last}")


def start_time(pid: int) -> int:
    """When a process began, in clock ticks since boot: with its pid, a name nothing else can have.

    proc_pid_stat(5), field 22. Raise FileNotFoundError or ProcessLookupError when it is gone.
    """
    return int(_stat(pid)[19])


def pid_alive(pid: int, started: int) -> bool:
    """Whether the process that had `pid` and began at `started` still runs; a zombie does not."""
    try:
        fields = _stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return int(fields[19]) == started and fields[0] not in (b"Z", b"X")


def has_executed(pid: int) -> bool:
    """Whether it has executed a program since it was forked; one that has ended still tells."""
    # PF_FORKNOEXEC of <linux/sched.h>, in field 9 of proc_pid_stat(5).
    return not int(_stat(pid)[6]) & 0x40


def zombie_status(pid: int) -> int | None:
    """The wait status of a process that has ended and that its parent has not reaped; else None.

    proc_pid_stat(5), field 52, which 0 stands for without CAP_SYS_PTRACE over the process.
    """
    try:
        fields = _stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[49]) if fields[0] in (b"Z", b"X") else None


def _stat(pid: int) -> list[bytes]:
    """Fields 3 and on of proc_pid_stat(5); the command before them may hold any byte but NUL."""
    with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
        return file.read(4096).rpartition(b")")[2].split()
