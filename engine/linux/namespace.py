"""Namespaces: clone3(2), unshare(2), setns(2)."""

import ctypes
import os

from engine.linux.call import check, libc, string, syscall
from engine.linux.flags import CLONE
from engine.linux.signals import SIG
from engine.linux.table import NR

_unshare = libc.unshare
_unshare.argtypes = (ctypes.c_int,)
_setns = libc.setns
_setns.argtypes = (ctypes.c_int, ctypes.c_int)

# PyDLL keeps the GIL over the call: the child has only this thread, and must own it.
_held = ctypes.PyDLL(None, use_errno=True).syscall
_held.restype = ctypes.c_long
_before_fork = ctypes.pythonapi.PyOS_BeforeFork
_after_fork_parent = ctypes.pythonapi.PyOS_AfterFork_Parent
_after_fork_child = ctypes.pythonapi.PyOS_AfterFork_Child
for _hook in (_before_fork, _after_fork_parent, _after_fork_child):
    _hook.restype = None


class _CloneArgs(ctypes.Structure):
    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("pidfd", ctypes.c_uint64),
        ("child_tid", ctypes.c_uint64),
        ("parent_tid", ctypes.c_uint64),
        ("exit_signal", ctypes.c_uint64),
        ("stack", ctypes.c_uint64),
        ("stack_size", ctypes.c_uint64),
        ("tls", ctypes.c_uint64),
        ("set_tid", ctypes.c_uint64),
        ("set_tid_size", ctypes.c_uint64),
        ("cgroup", ctypes.c_uint64),
    ]


def clone3(
    flags: CLONE | int, *, cgroup: int | None = None, sibling: bool = False
) -> tuple[int, int]:
    """clone3(2) as fork with namespaces: (pid, pidfd) in the parent, (0, -1) in the child.

    `cgroup`: the descriptor of a v2 cgroup's directory, in which the child is born (Linux 5.7).
    Moving a process there afterwards waits for an RCU grace period (10 ms), being born there
    does not. `sibling`: it is our parent's child (CLONE_PARENT).

    Only for a process with a single thread: glibc repairs its allocator's locks in fork() alone,
    so a child cloned while another thread holds one hangs at its first malloc.
    """
    pidfd = ctypes.c_int(-1)
    arguments = _CloneArgs(
        flags=flags
        | CLONE.PIDFD
        | (0 if cgroup is None else CLONE.INTO_CGROUP)
        | (CLONE.PARENT if sibling else 0),
        pidfd=ctypes.addressof(pidfd),
        # A sibling ends with the signal that we end with.
        exit_signal=0 if sibling else SIG.CHLD,
        cgroup=cgroup or 0,
    )
    number, pointer = ctypes.c_long(NR["clone3"]), ctypes.byref(arguments)
    size = ctypes.c_size_t(ctypes.sizeof(arguments))
    _before_fork()
    pid: int = _held(number, pointer, size)
    if pid == 0:
        _after_fork_child()
        return 0, -1
    error = ctypes.get_errno()
    _after_fork_parent()
    if pid < 0:
        raise OSError(error, os.strerror(error), f"clone3 {_names(flags)}")
    return pid, pidfd.value


def unshare(flags: CLONE | int) -> None:
    """unshare(2)."""
    if _unshare(flags) < 0:
        check(-1, f"unshare {_names(flags)}")


def setns(fd: int, flags: CLONE | int) -> None:
    """setns(2): `fd` is a namespace, or a pidfd with the namespaces to join as flags (Linux 5.8).

    Network, UTS and IPC namespaces belong to the calling thread alone.
    """
    if _setns(fd, flags) < 0:
        check(-1, f"setns {_names(flags)}")


def sethostname(name: bytes) -> None:
    """sethostname(2), of our UTS namespace; at most 64 bytes."""
    syscall("sethostname", string(name), len(name), about=name)


def setdomainname(name: bytes) -> None:
    """setdomainname(2), the same for the NIS domain name."""
    syscall("setdomainname", string(name), len(name), about=name)


def mapped(kind: str = "uid") -> list[tuple[int, int]]:
    """The uids, or gids, that there are in our user namespace, as (first, how many).

    user_namespaces(7), "uid_map": the machine's own has them all.
    """
    with open(f"/proc/self/{kind}_map") as lines:
        rows = [line.split() for line in lines]
    return [(int(row[0]), int(row[2])) for row in rows]


def is_mapped(id: int, kind: str = "uid") -> bool:
    """Whether our user namespace has that uid, or gid."""
    return any(first <= id < first + count for first, count in mapped(kind))


def in_user_namespace() -> bool:
    """Whether we are in another user namespace than the machine's own."""
    with open("/proc/self/uid_map") as file:
        return file.read().split() != ["0", "0", "4294967295"]


def _names(flags: int) -> str:
    """As "NEWNS|NEWPID"."""
    return CLONE(flags).name or str(int(flags))
