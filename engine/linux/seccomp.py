"""Loading a system call filter: seccomp(2)."""

import ctypes

from engine.linux.call import syscall
from engine.linux.flags import SECCOMP_FILTER_FLAG

_SECCOMP_SET_MODE_FILTER = 1
_INSTRUCTION = 8


class _SockFprog(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def set_mode_filter(program: bytes, flags: SECCOMP_FILTER_FLAG | int = 0) -> int:
    """seccomp(2), SECCOMP_SET_MODE_FILTER: `program` is an array of struct sock_filter (BPF).

    With NEW_LISTENER (Linux 5.0): the descriptor that tells of the calls it leaves to somebody.
    Needs no_new_privs or CAP_SYS_ADMIN. Raise ValueError when the bytes are not whole instructions.
    """
    if not program or len(program) % _INSTRUCTION:
        raise ValueError(f"a BPF program is 8 bytes an instruction, not {len(program)} in all")
    code = ctypes.create_string_buffer(program, len(program))
    fprog = _SockFprog(len(program) // _INSTRUCTION, ctypes.addressof(code))
    return syscall(
        "seccomp",
        _SECCOMP_SET_MODE_FILTER,
        flags,
        ctypes.byref(fprog),
        about=f"seccomp filter of {fprog.len} instructions",
    )
