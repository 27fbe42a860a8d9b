"""Which hierarchy this machine has, from its own list of mounts: proc_pid_mountinfo(5)."""

from __future__ import annotations

import errno

from engine.runtime.cgroup import tree
from engine.runtime.cgroup.api import Hierarchy
from engine.runtime.cgroup.hybrid import Hybrid
from engine.runtime.cgroup.v1 import USED, V1
from engine.runtime.cgroup.v2 import V2

ROOT = b"/sys/fs/cgroup"


def detect(root: bytes = ROOT) -> Hierarchy:
    """The hierarchy mounted at or below `root`.

    Raise OSError(EOPNOTSUPP) when no cgroup filesystem is mounted there.
    """
    v1, v2 = mounts(tree.read(b"/proc/self/mountinfo"), root)
    if v2 == root:
        return V2(v2)
    if not v1:
        text = "no cgroup filesystem is mounted here (mount -t cgroup2 none /sys/fs/cgroup)"
        raise OSError(errno.EOPNOTSUPP, text, root)
    return Hybrid(v1, v2) if v2 else V1(v1)


def mounts(mountinfo: bytes, root: bytes) -> tuple[dict[bytes, bytes], bytes | None]:
    """Where each v1 controller that we use, and where v2, is mounted at or below `root`."""
    v1: dict[bytes, bytes] = {}
    v2 = None
    for line in mountinfo.splitlines():
        # ID PARENT MAJOR:MINOR ROOT TARGET OPTIONS [TAGS...] - FSTYPE SOURCE SUPER-OPTIONS
        before, _, after = line.partition(b" - ")
        target = _unescaped(before.split(b" ")[4])
        fstype, _, options = after.split(b" ")
        if target != root and not target.startswith(root + b"/"):
            continue
        if fstype == b"cgroup2":
            v2 = target
        elif fstype == b"cgroup":
            for option in options.split(b","):
                if option in USED:
                    v1[option] = target
    return v1, v2


def _unescaped(path: bytes) -> bytes:
    """mountinfo writes space, tab, newline and backslash as \\040 and so on."""
    for byte in (b" ", b"\t", b"\n", b"\\"):
        path = path.replace(b"\\%03o" % ord(byte), byte)
    return path
