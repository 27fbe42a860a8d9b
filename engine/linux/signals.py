"""Signals: their names, and what a process does with them. signal(7)

Without Python's own module, which gives each an object: its import takes as long as a whole start.
"""

import ctypes
import os
import struct

from engine.linux.call import check, libc, syscall
from engine.linux.names import IntEnum

_signal = libc.signal
_signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
_signal.restype = ctypes.c_long

_SIG_SETMASK = 2
_SFD_CLOEXEC = os.O_CLOEXEC
_SIGNALFD_SIGINFO = 128
_LAST = 64
"""Of the real-time signals, the last of all."""
RTMIN = 34
"""The first that the C library leaves to programs."""


class SIG(IntEnum):
    """As numbered on x86-64 and arm64."""

    HUP = 1
    INT = 2
    QUIT = 3
    ILL = 4
    TRAP = 5
    ABRT = 6
    BUS = 7
    FPE = 8
    KILL = 9
    USR1 = 10
    SEGV = 11
    USR2 = 12
    PIPE = 13
    ALRM = 14
    TERM = 15
    STKFLT = 16
    CHLD = 17
    CONT = 18
    STOP = 19
    TSTP = 20
    TTIN = 21
    TTOU = 22
    URG = 23
    XCPU = 24
    XFSZ = 25
    VTALRM = 26
    PROF = 27
    WINCH = 28
    IO = 29
    PWR = 30
    SYS = 31


def signal_number(word: str) -> int:
    """Of "9", "KILL", "sigkill" or "RTMIN+3". Raise ValueError."""
    name, _, more = word.upper().removeprefix("SIG").partition("+")
    first = {"RTMIN": RTMIN, "RTMAX": _LAST}.get(name) or SIG.__members__.get(name)
    number = int(word) if word.isdecimal() else 0 if first is None else int(first)
    if more and name == "RTMIN" and more.isdecimal():
        number += int(more)
        more = ""
    if more or not 0 < number <= _LAST:
        raise ValueError(f"signal {word!r} is not one of signal(7)")
    return number


def set_default(number: int) -> None:
    """signal(2) with SIG_DFL."""
    check(_signal(number, None), f"signal {number}")


def set_mask(blocked: frozenset[int]) -> None:
    """rt_sigprocmask(2) with SIG_SETMASK: exactly these signals wait."""
    mask = _mask(blocked)
    syscall("rt_sigprocmask", _SIG_SETMASK, mask, None, len(mask), about="signal mask")


def signalfd(numbers: frozenset[int]) -> int:
    """signalfd(2): a descriptor that tells of these signals, which the mask must hold."""
    mask = _mask(numbers)
    return syscall("signalfd4", -1, mask, len(mask), _SFD_CLOEXEC, about="signalfd")


def read_signals(fd: int) -> list[int]:
    """The numbers of those that waited at a signalfd."""
    data = os.read(fd, 32 * _SIGNALFD_SIGINFO)
    return [struct.unpack_from("=I", data, at)[0] for at in range(0, len(data), _SIGNALFD_SIGINFO)]


def _mask(numbers: frozenset[int]) -> bytes:
    return struct.pack("=Q", sum(1 << number - 1 for number in numbers))
