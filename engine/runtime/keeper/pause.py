"""The first process of a pid namespace that a pod's containers share: it waits.

Whatever its orphans leave the kernel reaps, as SIGCHLD is ignored. It is made so that a container
which may trace it finds nothing: a program of a few bytes in an empty root, without rights.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import struct
from contextlib import suppress

from engine.linux.flags import CLONE
from engine.linux.namespace import clone3, setns
from engine.linux.pidfd import pidfd_send_signal
from engine.linux.process import capset, close_range, set_name, set_no_new_privs
from engine.linux.table import MACHINE
from engine.runtime.ops.base import Context
from engine.runtime.ops.rootfs import PivotRoot, PrivateMounts
from engine.runtime.ops.stage import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from engine.runtime.cgroup.api import Hierarchy

_NOBODY = 65535
_LOAD_AT = 0x400000
_HEADERS = 64 + 56
# (e_machine of elf(5), the code): ppoll(NULL, 0, NULL, NULL, 0), and again.
_CODE = {
    # xor edi,edi; xor esi,esi; xor edx,edx; xor r10d,r10d; xor r8d,r8d; mov eax,271; syscall; jmp
    "x86_64": (62, bytes.fromhex("31ff31f631d24531d24531c0b80f0100000f05ebe9")),
    # mov x0..x4,#0; mov x8,#73; svc #0; b
    "aarch64": (
        183,
        struct.pack("<8I", *(0xD2800000 | n for n in range(5)), 0xD2800928, 0xD4000001, 0x17FFFFF9),
    ),
}


def program(machine: str = MACHINE) -> bytes:
    """An executable: elf(5), one header, one segment. Raise KeyError for an unknown machine."""
    kind, code = _CODE[machine]
    size = _HEADERS + len(code)
    entry = _LOAD_AT + _HEADERS
    ident = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 2, kind, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    readable_executable = 5
    segment = struct.pack(
        "<IIQQQQQQ", 1, readable_executable, 0, _LOAD_AT, _LOAD_AT, size, size, 4096
    )
    return ident + header + segment + code


def begin(hierarchy: Hierarchy, cgroup: bytes, namespaces: dict[str, int]) -> int:
    """Have one in those of a pod; gives its pidfd. `cgroup`: its own, below the pod's. Raise
    OSError."""
    hierarchy.create(cgroup)
    directory = hierarchy.directory_fd(cgroup)
    # We go on when it has executed its program, or has ended: until then it is a copy of us.
    flags = CLONE.NEWPID | CLONE.NEWNS | CLONE.VFORK
    try:
        pid, pidfd = clone3(flags, cgroup=directory)
        if pid == 0:
            _become(hierarchy, cgroup, namespaces)
    finally:
        if directory is not None:
            os.close(directory)
    if os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
        end(pidfd)
        raise OSError(errno.ECHILD, "what holds a pod's pid namespace ended at once", cgroup)
    return pidfd


def end(pidfd: int) -> None:
    """End it, and with it all that is in the namespace, and wait. Closes `pidfd`."""
    with suppress(ProcessLookupError):
        pidfd_send_signal(pidfd, signal.SIGKILL)
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    except ChildProcessError:
        # A child of the keeper that was here before us.
        select.select([pidfd], [], [])
    os.close(pidfd)


def _become(hierarchy: Hierarchy, cgroup: bytes, namespaces: dict[str, int]) -> NoReturn:
    try:
        os.setsid()
        hierarchy.join(cgroup)
        for kind, flag in (
            ("network", CLONE.NEWNET),
            ("ipc", CLONE.NEWIPC),
            ("uts", CLONE.NEWUTS),
        ):
            setns(namespaces[kind], flag)
        null = os.open("/dev/null", os.O_RDWR)
        memory = os.memfd_create("pause", os.MFD_CLOEXEC)
        os.write(memory, program())
        for number in range(3):
            os.dup2(null, number)
        context = Context(hierarchy)
        PrivateMounts().apply(context)
        Stage(()).apply(context)
        PivotRoot().apply(context)
        os.dup2(memory, 3, inheritable=False)
        close_range(4, ~0)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        set_name(b"pause")
        with suppress(OSError):  # an ordinary user may have no other id to give
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        capset(0, 0, 0)
        set_no_new_privs()
        os.execve(3, ["/pause"], {})
    except BaseException:  # noqa: BLE001 - nobody is left to tell; whoever joins sees that it ended
        os._exit(127)
