"""Which addresses a cluster and its pods get. Pure, but for taken_networks().

A cluster has a /16. Its first /24 is the fabric's, where the host and the nodes meet; the next are
the nodes' own, by their index. In a node's /24, .1 is the bridge and pods have the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network

# Inside 10/8, away from what home routers, Docker, kubeadm and flannel use by default.
CLUSTER_CIDRS = tuple(IPv4Network(f"10.{second}.0.0/16") for second in range(64, 128))
NODES_MAX = 244


class NoFreeAddress(Exception):
    """Every address that could be given is taken."""


def choose_cluster_cidr(taken: Iterable[IPv4Network]) -> IPv4Network:
    """The first network that overlaps none of those taken. Raise NoFreeAddress."""
    taken = list(taken)
    for cidr in CLUSTER_CIDRS:
        if not any(cidr.overlaps(other) for other in taken):
            return cidr
    raise NoFreeAddress(
        f"none of {CLUSTER_CIDRS[0]} to {CLUSTER_CIDRS[-1]} is free for the cluster: this machine"
        " has routes into each of them (see: ip route show table all)"
    )


def fabric_cidr(cluster: IPv4Network) -> IPv4Network:
    """Where the host (.1) and the nodes meet."""
    return IPv4Network((cluster.network_address, 24))


def fabric_address(cluster: IPv4Network, index: int) -> IPv4Address:
    """Node `index`'s own address on the fabric."""
    return cluster.network_address + 10 + _checked(index)


def node_cidr(cluster: IPv4Network, index: int) -> IPv4Network:
    """The pods' network of node `index`, from 1."""
    return IPv4Network((cluster.network_address + 256 * _checked(index), 24))


def gateway(pods: IPv4Network) -> IPv4Address:
    """A node's bridge, through which its pods reach everything."""
    return pods.network_address + 1


def _checked(index: int) -> int:
    if not 1 <= index <= NODES_MAX:
        raise ValueError(f"node index {index}: must be 1 to {NODES_MAX}")
    return index


class PodPool:
    """The addresses of one node's pods. `leases` (uid to address) is all there is to keep.

    Addresses are given in turn, so that one that was let go is used again as late as can be: what
    still speaks to the old pod does not reach a new one.
    """

    def __init__(self, cidr: IPv4Network, leases: Mapping[str, str] | None = None) -> None:
        self.cidr = cidr
        self.leases: dict[str, str] = {}
        self._last = int(gateway(cidr))
        for uid, ip in (leases or {}).items():
            self.adopt(uid, ip)

    def allocate(self, uid: str) -> str:
        """The pod's address: the same one each time it is asked for. Raise NoFreeAddress."""
        if uid in self.leases:
            return self.leases[uid]
        first, last = int(gateway(self.cidr)) + 1, int(self.cidr.broadcast_address) - 1
        used = set(self.leases.values())
        for number in (*range(self._last + 1, last + 1), *range(first, self._last + 1)):
            ip = str(IPv4Address(number))
            if ip not in used:
                self._last = number
                self.leases[uid] = ip
                return ip
        raise NoFreeAddress(f"all {last - first + 1} pod addresses of {self.cidr} are in use")

    def release(self, uid: str) -> None:
        """Let a pod's address go; fine when it has none."""
        self.leases.pop(uid, None)

    def adopt(self, uid: str, ip: str) -> None:
        """Take note of an address that a pod has already.

        Raise ValueError when it is not of this node's pods, or is another pod's.
        """
        address = IPv4Address(ip)
        if not gateway(self.cidr) < address < self.cidr.broadcast_address:
            raise ValueError(f"pod {uid}: {ip} is not a pod address of {self.cidr}")
        if self.leases.get(uid, ip) != ip:
            raise ValueError(f"pod {uid}: has {self.leases[uid]} already, so cannot have {ip}")
        owner = next((other for other, taken in self.leases.items() if taken == ip), uid)
        if owner != uid:
            raise ValueError(f"pod {uid}: {ip} is pod {owner}'s")
        self.leases[uid] = ip
        self._last = max(self._last, int(address))


def taken_networks() -> list[IPv4Network]:
    """Every IPv4 network that this machine has a route to."""
    from engine.network.links import Links

    with Links() as links:
        return [route.to for route in links.routes() if route.to is not None]
