"""The doorstep of execve(2): where a process waits that has nothing left to do but to execute.

What waits must be small, and quick to go: an interpreter that executes a program first takes down
its own memory, ten megabytes in thousands of pages (0.3 ms). So it does that beforehand. It jumps
into a page of machine code which unmaps everything else, waits in read(2) for one byte, and
executes the program. It is the same process throughout: whatever confines it stays as it is, its
/proc/PID/exe is the interpreter's, and it can no more be traced or dumped than before.

The page is a sealed memfd, written by nobody ever again, and mapped once, by the process whose
children will wait in it. Beside it lies the room in which a child leaves what it is to execute:

    0   the descriptor to read from; then the byte that was read
    8   the program's path, 16 its argv, 24 its envp: addresses
    32  (address, length) of each range to unmap, up to one of length 0
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct

from engine.linux.call import libc, string
from engine.linux.table import MACHINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_CODE = {
    "x86_64": """
        48 89 fb            mov  rbx, rdi           the room
        4c 8d 63 20         lea  r12, [rbx+32]      the first range
        49 8b 3c 24         mov  rdi, [r12]         next: its address
        49 8b 74 24 08      mov  rsi, [r12+8]       its length
        48 85 f6            test rsi, rsi
        74 0d               jz   wait
        b8 0b 00 00 00      mov  eax, 11            munmap
        0f 05               syscall                 what cannot be unmapped stays
        49 83 c4 10         add  r12, 16
        eb e5               jmp  next
        8b 3b               mov  edi, [rbx]         wait: the descriptor
        48 89 de            mov  rsi, rbx           into the room
        ba 01 00 00 00      mov  edx, 1             one byte
        31 c0               xor  eax, eax           read
        0f 05               syscall
        83 f8 01            cmp  eax, 1
        75 13               jne  leave
        48 8b 7b 08         mov  rdi, [rbx+8]       path
        48 8b 73 10         mov  rsi, [rbx+16]      argv
        48 8b 53 18         mov  rdx, [rbx+24]      envp
        b8 3b 00 00 00      mov  eax, 59            execve
        0f 05               syscall                 returns only when it fails
        bf 7f 00 00 00      mov  edi, 127           leave:
        b8 e7 00 00 00      mov  eax, 231           exit_group
        0f 05               syscall
    """,
    "aarch64": """
        f3 03 00 aa         mov  x19, x0            the room
        74 82 00 91         add  x20, x19, 32       the first range
        80 06 c1 a8         ldp  x0, x1, [x20], 16  next: its address and length
        81 00 00 b4         cbz  x1, wait
        e8 1a 80 d2         mov  x8, 215            munmap
        01 00 00 d4         svc  0                  what cannot be unmapped stays
        fc ff ff 17         b    next
        60 02 40 b9         ldr  w0, [x19]          wait: the descriptor
        e1 03 13 aa         mov  x1, x19            into the room
        22 00 80 d2         mov  x2, 1              one byte
        e8 07 80 d2         mov  x8, 63             read
        01 00 00 d4         svc  0
        1f 04 00 f1         cmp  x0, 1
        a1 00 00 54         b.ne leave
        60 86 40 a9         ldp  x0, x1, [x19, 8]   path, argv
        62 0e 40 f9         ldr  x2, [x19, 24]      envp
        a8 1b 80 d2         mov  x8, 221            execve
        01 00 00 d4         svc  0                  returns only when it fails
        e0 0f 80 d2         mov  x0, 127            leave:
        c8 0b 80 d2         mov  x8, 94             exit_group
        01 00 00 d4         svc  0
    """,
}
_MNEMONICS = 20
"""The column, after the indent, at which the bytes of a line end."""

_ROOM = 128 * 1024
_WORD = struct.Struct("=Q")

# <asm-generic/mman-common.h>; the mmap module would cost every fork two more mappings.
_PROT_READ, _PROT_WRITE, _PROT_EXEC = 1, 2, 4
_MAP_PRIVATE, _MAP_FIXED, _MAP_ANONYMOUS = 2, 16, 32
_MAP_FAILED = ctypes.c_void_p(-1).value

_mmap = libc.mmap
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = (
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
)
_pthread_self = libc.pthread_self
_pthread_self.restype = ctypes.c_size_t
_Entry = ctypes.CFUNCTYPE(None, ctypes.c_size_t)


def code(machine: str = MACHINE) -> bytes:
    """The instructions. Raise KeyError for a machine that has none."""
    lines = _CODE[machine].strip().splitlines()
    return bytes.fromhex("".join(line.strip()[:_MNEMONICS] for line in lines))


class Doorstep:
    """Made by a process with one thread; its children wait in it."""

    def __init__(self) -> None:
        """Raise OSError when it cannot be mapped."""
        page = os.sysconf("SC_PAGESIZE")
        anywhere = _MAP_PRIVATE | _MAP_ANONYMOUS
        self._entry = _map(None, page + _ROOM, _PROT_READ | _PROT_WRITE, anywhere, -1)
        self._room = self._entry + page
        fd = os.memfd_create("doorstep", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.write(fd, code())
            seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals | fcntl.F_SEAL_SEAL)
            # From a file, whose pages the kernel itself makes fit to be executed: for any other,
            # arm64 wants its instruction cache to be told.
            _map(self._entry, page, _PROT_READ | _PROT_EXEC, _MAP_PRIVATE | _MAP_FIXED, fd)
        finally:
            os.close(fd)
        self._ranges = _others(self._entry, self._room + _ROOM)

    def lay_down(
        self, fd: int, path: bytes, argv: tuple[bytes, ...], env: tuple[bytes, ...]
    ) -> None:
        """What to read from, and what to execute. Raise OSError(E2BIG) when there is no room for so
        many words."""
        room = self._layout(fd, path, argv, env)
        if len(room) > _ROOM:
            raise OSError(errno.E2BIG, os.strerror(errno.E2BIG), path)
        ctypes.memmove(self._room, room, len(room))

    def wait(self) -> NoReturn:
        """Wait for a byte, then execute; at the end of what is read, or when that fails, end with
        status 127."""
        _Entry(self._entry)(self._room)
        raise AssertionError("unreachable")

    def _layout(
        self, fd: int, path: bytes, argv: tuple[bytes, ...], env: tuple[bytes, ...]
    ) -> bytes:
        """Header, argv, envp, and the strings that they point to."""
        strings = [string(word) + b"\0" for word in (path, *argv, *env)]
        ranges = [number for pair in (*self._ranges, (0, 0)) for number in pair]
        vectors = self._room + _WORD.size * (4 + len(ranges))
        address = vectors + _WORD.size * (len(argv) + 1 + len(env) + 1)
        at = []
        for text in strings:
            at.append(address)
            address += len(text)
        program, words, variables = at[0], at[1 : 1 + len(argv)], at[1 + len(argv) :]
        header = (fd, program, vectors, vectors + _WORD.size * (len(argv) + 1))
        numbers = (*header, *ranges, *words, 0, *variables, 0)
        return b"".join([*map(_WORD.pack, numbers), *strings])


def _map(address: int | None, length: int, protection: int, flags: int, fd: int) -> int:
    found: int = _mmap(address, length, protection, flags, fd, 0)
    if found == _MAP_FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "mmap doorstep")
    return found


def _others(first: int, end: int) -> list[tuple[int, int]]:
    """(address, length) of all there is but [first, end), the page to which the kernel itself
    writes when it preempts a thread (rseq(2), beside the thread's own data), and its [vdso], which
    may be sealed (mseal(2))."""
    kept, highest, thread = [(first, end)], 0, _pthread_self()
    with open("/proc/self/maps", "rb") as file:
        for line in file:
            words = line.split()
            start, stop = (int(word, 16) for word in words[0].split(b"-"))
            if words[-1] == b"[vsyscall]":
                continue
            highest = max(highest, stop)
            if start <= thread < stop or words[-1].startswith(b"[v"):
                kept.append((start, stop))
    gaps, at = [], 0
    for start, stop in [*sorted(kept), (highest, highest)]:
        if start > at:
            gaps.append((at, start - at))
        at = max(at, stop)
    return gaps
