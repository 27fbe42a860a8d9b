"""How the container's process comes to be in its namespaces, those of others and those of its own.

Most are made as it is cloned. What cannot be (ids need somebody outside to map them, a clock's
offset is fixed once anybody is in) is done beside it, or by one who goes ahead, and clones it
from there (launch.py).
"""

from __future__ import annotations

import os

from engine.linux.flags import CLONE
from engine.linux.namespace import setns, unshare
from engine.linux.process import set_dumpable
from engine.runtime.oci.gate import ask
from engine.runtime.ops.base import Context, Op, quoted, shown

NAMESPACES: dict[str, CLONE] = {
    "pid": CLONE.NEWPID,
    "network": CLONE.NEWNET,
    "ipc": CLONE.NEWIPC,
    "uts": CLONE.NEWUTS,
    "mount": CLONE.NEWNS,
    "user": CLONE.NEWUSER,
    "cgroup": CLONE.NEWCGROUP,
    "time": CLONE.NEWTIME,
}
_SHORT = {"network": "net"}


class JoinNamespaces(Op):
    """(type, path) of each."""

    NAME = "join-namespaces"
    PHASE = "namespaces"
    paths: tuple[tuple[str, bytes], ...]

    @property
    def about(self) -> str:
        return ", ".join(kind for kind, _ in self.paths)

    def apply(self, context: Context) -> None:
        # Opened first: their paths are the machine's, which one of them may take out of sight.
        fds = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for _, path in self.paths]
        for (kind, path), fd in zip(self.paths, fds, strict=True):
            try:
                setns(fd, NAMESPACES[kind])
            except OSError as error:
                text = f"{error.strerror}: is it a {kind} namespace?"
                raise OSError(error.errno, text, path) from None
            finally:
                os.close(fd)

    def describe(self) -> str:
        return "join the namespaces " + ", ".join(f"{k} {shown(p)}" for k, p in self.paths)

    def shell(self) -> str:
        return "nsenter " + " ".join(f"--{_SHORT.get(k, k)}={quoted(p)}" for k, p in self.paths)


class JoinTree(JoinNamespaces):
    """Another's mount namespace, and so its root."""

    NAME = "join-tree"

    def apply(self, context: Context) -> None:
        super().apply(context)
        context.root = os.open(b"/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


class NewTime(Op):
    """A time namespace for whom we clone: (clock, seconds, nanoseconds) that they are ahead."""

    NAME = "new-time"
    PHASE = "namespaces"
    offsets: tuple[tuple[str, int, int], ...]

    @property
    def about(self) -> str:
        return ", ".join(clock for clock, _, _ in self.offsets)

    def apply(self, context: Context) -> None:
        unshare(CLONE.NEWTIME)
        for clock, seconds, nanoseconds in self.offsets:
            line = f"{clock} {seconds} {nanoseconds}"
            try:
                with open("/proc/self/timens_offsets", "wb", buffering=0) as file:
                    file.write(line.encode())
            except OSError as error:
                about = f"/proc/self/timens_offsets <- {line}"
                raise OSError(error.errno, error.strerror, about) from None

    def describe(self) -> str:
        ahead = ", ".join(f"{clock} {s}.{ns:09} s ahead" for clock, s, ns in self.offsets)
        return "new time namespace" + (f": {ahead}" if ahead else "")

    def shell(self) -> str:
        options = (f" --{clock} {seconds}" for clock, seconds, _ in self.offsets)
        return "unshare --time" + "".join(options)


class MapIds(Op):
    """The parent, which has the right to, says which ids of the machine ours are."""

    NAME = "map-ids"
    PHASE = "namespaces"

    def apply(self, context: Context) -> None:
        ask(context, self.NAME)

    def describe(self) -> str:
        return "map the user and group ids of the new user namespace"

    def shell(self) -> str:
        return "newuidmap PID ...; newgidmap PID ..."


class BecomeRoot(Op):
    """Of the user namespace, or who else owns what is made in it: ids outside of it are nobody's
    there, and nobody owns nothing."""

    NAME = "become-root"
    PHASE = "namespaces"
    uid: int
    gid: int

    @property
    def about(self) -> str:
        return f"{self.uid}:{self.gid}"

    def apply(self, context: Context) -> None:
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)
        # Changing ids made us dumpable as /proc/sys/fs/suid_dumpable says.
        set_dumpable(False)

    def describe(self) -> str:
        return f"become user {self.uid}, group {self.gid} of the user namespace"

    def shell(self) -> str:
        return f"setpriv --reuid {self.uid} --regid {self.gid}"
