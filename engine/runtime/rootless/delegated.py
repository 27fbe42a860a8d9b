"""Cgroups for an ordinary user: a part of the v2 tree that was given to him, or none.

v1 is never given away. Of v2 a systemd user manager gives a part to its user, and whoever owns a
cgroup's directory and files has it (Documentation/admin-guide/cgroup-v2.rst, "Delegation"). There
we make a cgroup, become its only user, and make it the root of all that the cluster sees.

Functions whose paths are those of the machine are for before a cgroup namespace is entered.
"""

from __future__ import annotations

import os
import time

from engine.linux.flags import MS
from engine.linux.mount import mount
from engine.runtime.cgroup import mounts, none, tree

ROOT = b"/sys/fs/cgroup"
_ENGINE = b"engine"
_GONE_S = 2.0
_WANTED = (b"cpu", b"memory", b"pids")


def take(name: bytes, engine: int) -> bytes:
    """Make a cgroup of that name where we may, move there and `engine` below it; its directory, or
    b"" when there is no place."""
    place = find(os.getpid(), engine)
    if not place:
        return b""
    ours = place + b"/" + name
    os.makedirs(ours + b"/" + _ENGINE, 0o755, exist_ok=True)
    tree.write(ours + b"/cgroup.procs", b"0")
    join(ours, engine)
    given = tree.read(place + b"/cgroup.controllers").split()
    tree.write(
        place + b"/cgroup.subtree_control", b" ".join(b"+" + c for c in _WANTED if c in given)
    )
    return ours


def join(ours: bytes, pid: int) -> None:
    """Move a process to where engine and keepers are. Raise OSError when that is not permitted."""
    tree.write(ours + b"/" + _ENGINE + b"/cgroup.procs", b"%d" % pid)


def find(*ours: int) -> bytes:
    """The nearest cgroup at or above our own that is this user's and has no processes but `ours`;
    b"" when there is none."""
    _, unified = mounts.parse(tree.read(b"/proc/self/mountinfo"), ROOT)
    if unified != ROOT:
        return b""
    own = tree.read(b"/proc/self/cgroup").strip().rpartition(b"::")[2]
    folder = os.path.normpath(ROOT + own)
    while folder.startswith(ROOT):
        if _is_given(folder) and set(tree.read(folder + b"/cgroup.procs").split()) <= {
            b"%d" % pid for pid in ours
        }:
            return folder
        folder = os.path.dirname(folder)
    return b""


def _is_given(folder: bytes) -> bool:
    files = (b"", b"/cgroup.procs", b"/cgroup.subtree_control")
    if not all(os.access(folder + file, os.W_OK) for file in files):
        return False
    return bool({*_WANTED} & {*tree.read(folder + b"/cgroup.controllers").split()})


def show(ours: bytes, processes: bytes) -> str:
    """In a new mount and cgroup namespace, have ROOT be what take() gave, or else where processes
    are only noted (engine/runtime/cgroup/none.py); what was shown there is covered. Says which."""
    if ours:
        join(ours, os.getpid())
        # Between them, since no filesystem is mounted right over itself (EBUSY).
        mount(b"tmpfs", ROOT, b"tmpfs", MS.NOSUID | MS.NODEV | MS.NOEXEC)
        mount(b"cgroup2", ROOT, b"cgroup2", MS.NOSUID | MS.NODEV | MS.NOEXEC)
        return "v2, delegated"
    none.make(processes)
    mount(processes, ROOT, None, MS.BIND)
    return ""


def remove(ours: bytes) -> None:
    """End all that is in what take() made, and remove it; fine when it is gone. Raise OSError."""
    if os.path.isdir(ours):
        tree.write(ours + b"/cgroup.kill", b"1")
        tree.remove(ours, time.monotonic() + _GONE_S)
