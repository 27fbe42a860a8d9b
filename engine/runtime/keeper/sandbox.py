"""A pod's sandbox: the network, ipc and uts namespaces that its containers share.

No process lives in it. Descriptors hold the namespaces, and when the last one and the last
container are gone the kernel takes the veth pair away with them (to delete it would cost 20 ms).
"""

from __future__ import annotations

import os
import socket

from engine.linux import netlink
from engine.linux.flags import CLONE
from engine.linux.namespace import setns, unshare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KINDS = {"network": CLONE.NEWNET, "ipc": CLONE.NEWIPC, "uts": CLONE.NEWUTS}
_FILES = {"network": b"/proc/self/ns/net", "ipc": b"/proc/self/ns/ipc", "uts": b"/proc/self/ns/uts"}

# As Docker and containerd do: a container's root is often not root, and the ports and pings of its
# own network namespace can harm nobody.
_SYSCTLS = (
    (b"/proc/sys/net/ipv4/ip_unprivileged_port_start", b"0"),
    (b"/proc/sys/net/ipv4/ping_group_range", b"0 2147483647"),
)
_ADVERTISED = b"/proc/sys/net/ipv6/conf/default/accept_ra"


_LO = 1


class Sandbox:
    """`config`: id, hostname, link, ip, prefix, gateway, bridge, mtu, cgroup, labels."""

    def __init__(self, config: dict[str, Any], home: dict[str, int], node: socket.socket) -> None:
        """Make it. `home`: the keeper's own namespaces, `node`: rtnetlink in the node's.

        Raise OSError naming the link, address or route that could not be made.
        """
        self.config = config
        self.index = 0
        self.namespaces, inside = _make(config["hostname"], home)
        try:
            if config["ip"]:
                self._connect(node, inside)
        except OSError:
            self.close()
            raise
        finally:
            inside.close()

    def _connect(self, node: socket.socket, inside: socket.socket) -> None:
        config = self.config
        bridge = netlink.index_of(node, config["bridge"])
        peer = self.namespaces["network"]
        link = config["link"]
        netlink.request(node, netlink.veth(link, bridge, "eth0", peer, mtu=config["mtu"] or None))
        self.index = netlink.index_of(node, link)
        eth0 = netlink.index_of(inside, "eth0")
        messages = [
            netlink.link_up(eth0),
            netlink.address(eth0, config["ip"], config["prefix"]),
        ]
        if config["gateway"]:
            messages.append(netlink.route(config["gateway"], None, eth0))
        netlink.request(inside, *messages)
        # Else a busy machine loses the pod's first packets, and a second with them.
        netlink.await_up(node, self.index, bridge)

    def state(self) -> dict[str, Any]:
        return {**self.config, "index": self.index}

    def close(self) -> None:
        for fd in self.namespaces.values():
            os.close(fd)
        self.namespaces = {}


def _make(hostname: str, home: dict[str, int]) -> tuple[dict[str, int], socket.socket]:
    """New namespaces, and rtnetlink inside; we are in them only for a moment.

    Instead of a child that enters them for us: one thread can, and it saves the fork (1.2 ms).
    """
    unshare(CLONE.NEWNET | CLONE.NEWIPC | CLONE.NEWUTS)
    try:
        socket.sethostname(hostname)
        for file, value in _SYSCTLS:
            _write(file, value)
        trust_no_router()
        inside = netlink.connect()
        netlink.request(inside, netlink.link_up(_LO))
        return own_namespaces(), inside
    finally:
        for kind, fd in home.items():
            setns(fd, _KINDS[kind])


def own_namespaces() -> dict[str, int]:
    """Descriptors of the network, ipc and uts namespaces that this process is in."""
    return {kind: os.open(file, os.O_RDONLY | os.O_CLOEXEC) for kind, file in _FILES.items()}


def trust_no_router() -> None:
    """No link that this network namespace will have heeds router advertisements: any pod on the
    bridge could send one, and get the IPv6 traffic of its neighbours (CVE-2020-10749)."""
    _write(_ADVERTISED, b"0")


def _write(file: bytes, value: bytes) -> None:
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        # A kernel built without IPv4, or one that has not got the setting.
        return
    try:
        os.write(fd, value)
    finally:
        os.close(fd)
