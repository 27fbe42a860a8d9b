"""Where cgroup filesystems are mounted, as proc_pid_mountinfo(5) tells it. Pure."""

from __future__ import annotations


def parse(mountinfo: bytes, root: bytes) -> tuple[dict[bytes, bytes], bytes | None]:
    """Where each v1 controller is mounted, at or below `root`, and where v2 is.

    Among the controllers may be other mount options of v1 ("rw", "name=systemd").
    """
    v1: dict[bytes, bytes] = {}
    v2 = None
    for line in mountinfo.splitlines():
        # ID PARENT MAJOR:MINOR ROOT TARGET OPTIONS [TAGS...] - FSTYPE SOURCE SUPER-OPTIONS
        before, _, after = line.partition(b" - ")
        target = _unescaped(before.split(b" ")[4])
        fstype, _, options = after.split(b" ")
        if target != root and not target.startswith(root + b"/"):
            continue
        if target == root:
            # It covers what was mounted there before; mounts are listed as they were made.
            v1, v2 = {}, None
        if fstype == b"cgroup2":
            v2 = target
        elif fstype == b"cgroup":
            for option in options.split(b","):
                v1[option] = target
    return v1, v2


def _unescaped(path: bytes) -> bytes:
    """mountinfo writes space, tab, newline and backslash as \\040 and so on."""
    for byte in (b" ", b"\t", b"\n", b"\\"):
        path = path.replace(b"\\%03o" % ord(byte), byte)
    return path
