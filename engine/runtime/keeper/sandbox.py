"""A pod's sandbox: the network, ipc and uts namespaces that its containers share.

No process lives in it, but for the one that holds a pid namespace where that is shared, too.
Descriptors hold the others, and when the last one and the last container are gone the kernel takes
the veth pair away with them (to delete it would cost 20 ms).
"""

from __future__ import annotations

import os
import socket

from engine.linux import netlink
from engine.runtime.keeper import pause
from engine.runtime.keeper.spares import Spares

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from engine.runtime.cgroup.api import Hierarchy


class Sandbox:
    """`config`: what SandboxConfig has, and the name of its link. `namespaces`: of each kind a
    descriptor; of a shared pid namespace the pidfd of its first process, as "pids"."""

    def __init__(self, config: dict[str, Any], namespaces: dict[str, int], index: int = 0) -> None:
        """Of descriptors of namespaces that exist, ours from now on; see made(). `index`: the
        node's end of its cable."""
        self.config = config
        self.namespaces = namespaces
        self.index = index

    @classmethod
    def made(
        cls, config: dict[str, Any], spares: Spares, node: socket.socket, hierarchy: Hierarchy
    ) -> Sandbox:
        """A new one, of namespaces out of `spares`; `node`: rtnetlink in the node's network.

        Raise OSError naming the link, address, route or setting that could not be made.
        """
        namespaces, inside = spares.take()
        sandbox = cls(config, namespaces)
        try:
            for kind in config["host"]:
                os.close(namespaces[kind])
                namespaces[kind] = spares.of_node(kind)
            spares.name(namespaces["uts"], config["hostname"])
            if config["sysctls"]:
                spares.set(namespaces, config["sysctls"])
            if config["cgroup"]:
                hierarchy.create(config["cgroup"])
            if config["pids"]:
                namespaces["pids"] = pause.begin(hierarchy, sandbox.pause_cgroup, namespaces)
            if config["ip"]:
                sandbox._connect(node, inside)
        except OSError:
            sandbox.close()
            raise
        finally:
            inside.close()
        return sandbox

    @classmethod
    def adopted(cls, state: dict[str, Any], namespaces: dict[str, int]) -> Sandbox:
        """One that another keeper made, from its state()."""
        config = dict(state)
        return cls(config, namespaces, config.pop("index"))

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

    @property
    def pause_cgroup(self) -> bytes:
        """Of the process that holds its pid namespace, below the pod's; b"" without one."""
        cgroup: bytes = self.config["cgroup"]
        return cgroup + b"/pause" if self.config["pids"] else b""

    def state(self) -> dict[str, Any]:
        return {**self.config, "index": self.index}

    def end_processes(self) -> None:
        """So that its cgroup can be removed."""
        pidfd = self.namespaces.pop("pids", -1)
        if pidfd >= 0:
            pause.end(pidfd)

    def close(self) -> None:
        self.end_processes()
        for fd in self.namespaces.values():
            os.close(fd)
        self.namespaces = {}
