"""Namespaces for sandboxes to come: made when the keeper has nothing else to do.

A network namespace is the dearest thing of a pod (0.6 ms, ten times any other namespace), and none
of it depends on the pod.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque

from engine.linux import netlink
from engine.linux.flags import CLONE
from engine.linux.namespace import mapped, setns, unshare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from engine.runtime.keeper.loop import Loop

_KINDS = {"network": CLONE.NEWNET, "ipc": CLONE.NEWIPC, "uts": CLONE.NEWUTS}
_FILES = {"network": b"/proc/self/ns/net", "ipc": b"/proc/self/ns/ipc", "uts": b"/proc/self/ns/uts"}

# As Docker and containerd do: a container's root is often not root, and the ports and pings of its
# own network namespace can harm nobody.
_ANY_PORT = b"/proc/sys/net/ipv4/ip_unprivileged_port_start"
_PINGS = b"/proc/sys/net/ipv4/ping_group_range"
_LAST_GROUP = (1 << 31) - 1
_ADVERTISED = b"/proc/sys/net/ipv6/conf/default/accept_ra"


_LO = 1

# How many lie ready: as many as were taken in the last second, within these bounds.
_LEAST, _MOST = 2, 8
_MEMORY_S = 1.0


def sysctls() -> tuple[tuple[bytes, bytes], ...]:
    """(file, value) for each network namespace."""
    # Of the groups that there are: an unmapped one is EINVAL.
    first, count = mapped("gid")[-1]
    last = min(_LAST_GROUP, first + count - 1)
    return (_ANY_PORT, b"0"), (_PINGS, b"0 %d" % last)


class Spares:
    """Each is descriptors of a network, ipc and uts namespace, and rtnetlink inside."""

    def __init__(self, loop: Loop, home: dict[str, int]) -> None:
        """`home`: the keeper's own namespaces."""
        self._loop = loop
        self._home = home
        self._ready: list[tuple[dict[str, int], socket.socket]] = []
        self._taken: deque[float] = deque(maxlen=_MOST)
        self._watching = False
        self._sysctls = sysctls()
        loop.when_idle(self._fit)

    def take(self) -> tuple[dict[str, int], socket.socket]:
        """One that lies ready, or a new one; the caller's. Raise OSError."""
        self._taken.append(time.monotonic())
        self._loop.when_idle(self._fit)
        return self._ready.pop() if self._ready else self._make()

    def name(self, uts: int, hostname: str) -> None:
        """Set the hostname of a uts namespace."""
        setns(uts, CLONE.NEWUTS)
        try:
            socket.sethostname(hostname)
        finally:
            setns(self._home["uts"], CLONE.NEWUTS)

    def of_node(self, kind: str) -> int:
        """The node's own namespace; the caller's descriptor."""
        return os.dup(self._home[kind])

    def set(self, namespaces: dict[str, int], sysctls: tuple[tuple[str, str], ...]) -> None:
        """Write settings of these network and ipc namespaces. Raise OSError naming the setting."""
        kinds = ("network", "ipc")
        try:
            for kind in kinds:
                setns(namespaces[kind], _KINDS[kind])
            for name, value in sysctls:
                file = "/proc/sys/" + name.replace(".", "/")
                try:
                    _write(file.encode(), value.encode(), missing_ok=False)
                except OSError as error:
                    raise OSError(error.errno, error.strerror, f"sysctl {name}={value}") from None
        finally:
            for kind in kinds:
                setns(self._home[kind], _KINDS[kind])

    def _fit(self) -> None:
        """One more or one less; what is asked for meanwhile comes first."""
        since = time.monotonic() - _MEMORY_S
        wanted = max(_LEAST, sum(moment > since for moment in self._taken))
        if len(self._ready) == wanted:
            if wanted > _LEAST and not self._watching:
                self._watching = True
                self._loop.when_idle(self._look_again, _MEMORY_S)
            return
        if len(self._ready) < wanted:
            try:
                self._ready.append(self._make())
            except OSError:
                # Whoever needs one is told why there is none.
                return
        else:
            namespaces, inside = self._ready.pop()
            inside.close()
            for fd in namespaces.values():
                os.close(fd)
        self._loop.when_idle(self._fit)

    def _look_again(self) -> None:
        self._watching = False
        self._fit()

    def _make(self) -> tuple[dict[str, int], socket.socket]:
        """We are in them only for a moment.

        Instead of a child that enters them for us: one thread can, and it saves the fork (1.2 ms).
        """
        unshare(CLONE.NEWNET | CLONE.NEWIPC | CLONE.NEWUTS)
        try:
            for file, value in self._sysctls:
                _write(file, value)
            trust_no_router()
            inside = netlink.connect()
            netlink.request(inside, netlink.link_up(_LO))
            return own_namespaces(), inside
        finally:
            for kind, fd in self._home.items():
                setns(fd, _KINDS[kind])


def own_namespaces() -> dict[str, int]:
    """Descriptors of the network, ipc and uts namespaces that this process is in."""
    return {kind: os.open(file, os.O_RDONLY | os.O_CLOEXEC) for kind, file in _FILES.items()}


def trust_no_router() -> None:
    """No link that this network namespace will have heeds router advertisements: any pod on the
    bridge could send one, and get the IPv6 traffic of its neighbours (CVE-2020-10749)."""
    _write(_ADVERTISED, b"0")


def _write(file: bytes, value: bytes, *, missing_ok: bool = True) -> None:
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        if not missing_ok:
            raise
        # A kernel built without IPv4, or one that has not got the setting.
        return
    try:
        os.write(fd, value)
    finally:
        os.close(fd)
