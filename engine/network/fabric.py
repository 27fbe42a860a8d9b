"""The wires of a cluster: one bridge on the host, a cable from it to every node, and the routes.

    host     pdm<id>  10.X.0.1/24         a bridge; 10.X.k.0/24 is behind node k
    node k   fab0     10.X.0.(10+k)/24    its cable; the host's end pdm<id>n<k> is on the bridge
             br0      10.X.k.1/24         the bridge of its pods

Every step looks before it acts, so that any of them may be repeated at any time; what is to be
removed is found by name, never remembered. Blocking: call it in a thread.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from engine.home import ClusterPaths
from engine.linux.namespace import in_user_namespace
from engine.network import firewall, forwarding, ipam, nat
from engine.network.links import LOOPBACK, Links, in_netns

NODE_LINK = "fab0"
NODE_BRIDGE = "br0"

_MTU = 1500
_PREFIX = 24


class Fabric:
    """`cidr` is the cluster's /16; engine.network.ipam says who has which part of it."""

    def __init__(self, paths: ClusterPaths, cidr: IPv4Network | str) -> None:
        self.paths = paths
        self.cidr = IPv4Network(cidr)
        self.mtu = _MTU
        """The uplink's, once ensure_host() has looked: nothing inside may send more at once."""

    def ensure_host(self) -> None:
        """The host's bridge and its address, forwarding, and NAT to the outside.

        Raise OSError naming the link, address or table that could not be made; EADDRINUSE when the
        host leads a part of the cluster's network elsewhere.
        """
        with Links() as links:
            uplink = self._look_outside(links)
            self._refuse_overlap(links)
            _bridge(links, self.paths.bridge, self.host_address, self.mtu)
        forwarding.enable(self.paths.bridge)
        with forwarding.alone():
            tables = nat.tables()
            notes = tables.get(self.paths.nft_table, "")
            if uplink:
                notes = forwarding.add(notes, forwarding.note(uplink, tables.values()))
            # Noted before it is changed: a crash in between must not lose what was.
            nat.install(
                self.paths.nft_table,
                self.cidr,
                self.paths.bridge,
                notes,
                drop_invalid=in_user_namespace(),
            )
            if uplink:
                forwarding.enable(uplink)
        firewall.let_through(self.paths.bridge, self.paths.nft_table)

    def ensure_node(self, index: int, netns_fd: int, peers: Iterable[int] = ()) -> None:
        """Node `index`'s cable, bridge and routes; `peers` are the indices of all nodes.

        After ensure_host(). Raise OSError naming the link, address or route that could not be made.
        """
        cable, address = self.paths.fabric_link(index), ipam.fabric_address(self.cidr, index)
        with Links() as links:
            bridge, found = links.index(self.paths.bridge), links.find(cable)
            if found is not None and not _leads_to(netns_fd, found):
                # It leads to the namespace of a node that is no more, and is still being torn down.
                links.delete(cable)
                found = None
            if found is None:
                links.cable(cable, bridge, self.mtu, NODE_LINK, _mac(address), netns_fd)
            links.route(ipam.node_cidr(self.cidr, index), address, bridge)
        in_netns(netns_fd, lambda node: self._set_up_node(node, index, peers))
        with Links() as links:
            links.await_up(links.index(cable), bridge)

    def remove(self) -> None:
        """See remove() below."""
        remove(self.paths)

    @property
    def host_address(self) -> IPv4Address:
        """By which nodes and pods reach the host, and through it the outside."""
        return self.cidr.network_address + 1

    def _look_outside(self, links: Links) -> str | None:
        """The name of the default route's link, if there is any; sets the MTU."""
        uplink = next((route.link for route in links.routes() if not route.to and route.link), None)
        if uplink is None:
            return None
        name, self.mtu, _ = links.describe(uplink)
        return name

    def _refuse_overlap(self, links: Links) -> None:
        ours = links.find(self.paths.bridge)
        for route in links.routes():
            if route.to and route.link != ours and route.to.overlaps(self.cidr):
                where = links.describe(route.link)[0] if route.link else "nowhere"
                text = (
                    f"the host leads {route.to} to {where}; take that route away or make the"
                    " cluster anew with another network (podarium down --purge)"
                )
                raise OSError(errno.EADDRINUSE, text, f"cluster network {self.cidr}")

    def _set_up_node(self, node: Links, index: int, peers: Iterable[int]) -> None:
        """In the node's network namespace."""
        cable = node.index(NODE_LINK)
        node.up(LOOPBACK)
        node.up(cable)
        node.address(cable, ipam.fabric_address(self.cidr, index), _PREFIX)
        _bridge(node, NODE_BRIDGE, ipam.gateway(ipam.node_cidr(self.cidr, index)), self.mtu)
        for peer in sorted(set(peers) - {index}):
            there = ipam.node_cidr(self.cidr, peer)
            node.route(there, ipam.fabric_address(self.cidr, peer), cable)
        node.route(None, self.host_address, cable)
        # /proc/sys/net shows the network namespace of the thread that opens it.
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Held from looking for a free network until the host leads there, so that two clusters that
    start together do not choose the same. The kernel's own folder is the lock: no file is made."""
    descriptor = os.open("/sys/class/net", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def remove(paths: ClusterPaths) -> None:
    """Take away all that a cluster's fabric added to the host, and put settings back; idempotent.

    A node's own links go with its network namespace.
    """
    with Links() as links:
        for name in _links(links, paths):
            links.delete(name)
    firewall.forget(paths.nft_table)
    with forwarding.alone():
        tables = nat.tables()
        notes = tables.pop(paths.nft_table, "")
        forwarding.put_back(notes, tables.values())
        nat.remove(paths.nft_table)


def leftovers(paths: ClusterPaths) -> list[str]:
    """What the host still has of a cluster's fabric, told for a person."""
    with Links() as links:
        found = [f"link {name}" for name in _links(links, paths)]
    if paths.nft_table in nat.tables():
        found.append(f"nft table ip {paths.nft_table}")
    return found + firewall.traces(paths.nft_table)


def _links(links: Links, paths: ClusterPaths) -> list[str]:
    """A cluster's links on the host, cables before the bridge."""
    ours = re.compile(rf"{re.escape(paths.bridge)}(n\d+)?")
    return sorted(filter(ours.fullmatch, links.names()), key=len, reverse=True)


def _leads_to(netns_fd: int, cable: int) -> bool:
    """Whether the other end of the host's link `cable` (an index) is a node's."""

    def other_end(node: Links) -> int | None:
        index = node.find(NODE_LINK)
        return None if index is None else node.describe(index)[2]

    return in_netns(netns_fd, other_end) == cable


def _bridge(links: Links, name: str, address: IPv4Address, mtu: int) -> None:
    # A fixed MAC: else a bridge has the lowest of its ports', which changes, and with it every
    # neighbour's ARP entry goes stale, as pods come and go.
    index = links.find(name) or links.bridge(name, _mac(address))
    links.up(index, mtu)
    links.address(index, address, _PREFIX)


def _mac(address: IPv4Address) -> str:
    """A locally administered MAC made of the address, as Kubernetes' bridge plugin does."""
    return "0a:58:" + ":".join(f"{byte:02x}" for byte in address.packed)
