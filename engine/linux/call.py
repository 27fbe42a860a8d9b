"""The C library, and the one way a system call is made and its failure reported.

Every door takes bytes, never str, and either returns or raises OSError(errno, text, object), where
the object is what the call was about. Doors hold no policy and log nothing.
"""

import ctypes
import os

from engine.linux.table import NR

libc = ctypes.CDLL(None, use_errno=True)
_syscall = libc.syscall
_syscall.restype = ctypes.c_long


def check(result: int, about: object) -> int:
    """Return `result`, or raise the errno of the call just made when it is -1."""
    if result == -1:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), about)
    return result


def syscall(name: str, *arguments: object, about: object) -> int:
    """Make a system call: syscall(2). An int travels as `long`, bytes as `char *`, None as NULL."""
    # Without c_long a variadic call would get only 32 bits of each integer.
    longs = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return check(_syscall(ctypes.c_long(NR[name]), *longs), about)


def string(value: bytes) -> bytes:
    """`value` as a C string. Raise ValueError when a NUL byte would cut it short."""
    if b"\0" in value:
        raise ValueError(f"embedded null byte in {value!r}")
    return value


def optional(value: bytes | None) -> bytes | None:
    """Like string(); None becomes NULL."""
    return None if value is None else string(value)
