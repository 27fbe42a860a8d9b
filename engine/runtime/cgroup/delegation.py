"""Where in a v2 tree a cluster's cgroups are: at its root, or below one that is ours to divide.

systemd marks the latter, a unit with Delegate=yes, by an extended attribute, and promises to leave
alone what is below it (https://systemd.io/CGROUP_DELEGATION). A cluster that was started in such a
unit stays in it, wherever whoever looks for it later is: by its own name it is found.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from engine.runtime.cgroup import tree
from engine.runtime.cgroup.api import Hierarchy, detect
from engine.runtime.cgroup.v2 import V2

_ROOT = b"/sys/fs/cgroup"
_MARKS = (b"trusted.delegate", b"user.delegate")
LEAF = b"podarium"
"""Where the processes of a delegated unit go: those that hand controllers down have none."""


def hierarchy(cluster: bytes = b"") -> Hierarchy:
    """The machine's, or its part that holds, or is to hold, the cgroup named `cluster`.

    Raise OSError(EOPNOTSUPP) when no cgroup filesystem is mounted.
    """
    found = detect(_ROOT)
    if not isinstance(found, V2):
        return found
    own = _own(_ROOT, tree.read(b"/proc/self/cgroup"))
    if not os.path.isdir(own + b"/" + cluster):
        own = next(_holders(_ROOT, cluster), own)
    return V2(own) if own != _ROOT else found


def crowded(hierarchy: Hierarchy) -> bool:
    """Whether processes keep a tree from limiting anything, and settle() will not move them."""
    delegated = isinstance(hierarchy, V2) and is_delegated(hierarchy.root)
    return hierarchy.crowded() and not delegated


def settle(hierarchy: Hierarchy) -> None:
    """Move the processes of a delegated unit into a leaf of it; others' are left where they are.

    Raise OSError(EBUSY) for one that cannot be moved.
    """
    if not isinstance(hierarchy, V2) or not is_delegated(hierarchy.root):
        return
    leaf = hierarchy.root + b"/" + LEAF
    while hierarchy.crowded() and (pids := tree.read(hierarchy.root + b"/cgroup.procs").split()):
        os.makedirs(leaf, 0o755, exist_ok=True)
        for pid in pids:
            if pid == b"0":
                text = "has processes of another pid namespace, which cannot be moved"
                raise OSError(errno.EBUSY, text, hierarchy.root)
            try:
                tree.write(leaf + b"/cgroup.procs", pid)
            except ProcessLookupError:
                continue


def is_delegated(directory: bytes) -> bool:
    """Whether a cgroup, and all below it, is its owner's, and that is us."""
    try:
        if os.stat(directory).st_uid != os.geteuid():
            return False
        marks = os.listxattr(directory)
        return any(os.fsdecode(m) in marks and os.getxattr(directory, m) == b"1" for m in _MARKS)
    except OSError:
        return False  # gone, or not for us to see


def _own(root: bytes, membership: bytes) -> bytes:
    """The nearest delegated cgroup at or above the caller's, which proc_pid_cgroup(5) tells."""
    path = next((line[3:] for line in membership.splitlines() if line.startswith(b"0::")), b"/")
    parts = [part for part in path.split(b"/") if part]
    if b".." in parts:
        return root  # outside of what this cgroup namespace shows
    while parts:
        directory = b"/".join((root, *parts))
        if is_delegated(directory):
            return directory
        parts.pop()
    return root


def _holders(root: bytes, cluster: bytes) -> Iterator[bytes]:
    """The cgroups right below which there is one of that name."""
    names = tree.children(root)
    if cluster in names:
        yield root
    for name in names:
        yield from _holders(root + b"/" + name, cluster)
