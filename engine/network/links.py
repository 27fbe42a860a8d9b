"""The links, addresses and routes of one network namespace, through pyroute2.

A failure is an OSError that names its object; pyroute2's own names nothing.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from typing import Any, NamedTuple, TypeVar

import pyroute2.iproute.linux
from pyroute2.netlink.exceptions import NetlinkError

from engine.linux import netlink
from engine.linux.flags import CLONE
from engine.linux.namespace import setns

LOOPBACK = 1

_T = TypeVar("_T")
_MAIN_TABLE = 254
# pyroute2 makes its methods as it runs, so no type checker can know them.
_IPRoute: Any = pyroute2.iproute.linux.IPRoute


class Route(NamedTuple):
    """`to` is None for the default route; `link` an index, 0 when the route leads nowhere."""

    to: IPv4Network | None
    link: int
    metric: int


class Links:
    """Opened in the network namespace of the calling thread; a context manager."""

    def __init__(self) -> None:
        self._ip = _IPRoute()

    def __enter__(self) -> Links:
        return self

    def __exit__(self, *_: object) -> None:
        self._ip.close()

    def names(self) -> list[str]:
        return [link.get("ifname") for link in self._ip.get_links()]

    def find(self, name: str) -> int | None:
        """A link's index, or None."""
        return next(iter(self._ip.link_lookup(ifname=name)), None)

    def index(self, name: str) -> int:
        """A link's index; raise OSError(ENODEV) when there is none of that name."""
        index = self.find(name)
        if index is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), f"link {name}")
        return index

    def describe(self, index: int) -> tuple[str, int, int]:
        """A link's name, its MTU, and the index of a veth's other end (in that one's namespace)."""
        with naming(f"link {index}"):
            (link,) = self._ip.get_links(index)
        return link.get("ifname"), link.get("mtu"), link.get("link") or 0

    def bridge(self, name: str, mac: str) -> int:
        """Make a bridge(8)."""
        with naming(f"bridge {name}"):
            self._ip.link("add", ifname=name, kind="bridge", address=mac)
        return self.index(name)

    def cable(
        self, name: str, bridge: int, mtu: int, peer: str, peer_mac: str, netns_fd: int
    ) -> None:
        """Make a veth(4): `name`, up and on a bridge, and `peer` in another namespace."""
        other = {"ifname": peer, "net_ns_fd": netns_fd, "mtu": mtu, "address": peer_mac}
        with naming(f"link {name}"):
            self._ip.link(
                "add", ifname=name, kind="veth", master=bridge, mtu=mtu, state="up", peer=other
            )

    def up(self, index: int, mtu: int | None = None) -> None:
        size = {} if mtu is None else {"mtu": mtu}
        with naming(f"link {index}"):
            self._ip.link("set", index=index, state="up", **size)

    def await_up(self, *indices: int) -> None:
        """Until links carry something; see engine.linux.netlink."""
        with netlink.connect() as sock:
            netlink.await_up(sock, *indices)

    def delete(self, name: str) -> None:
        """Fine when it is gone. Of a veth both ends go."""
        index = self.find(name)
        if index is not None:
            # The kernel may just be taking it away: a veth goes with the namespace of its peer.
            with naming(f"link {name}"), _fine_when_gone():
                self._ip.link("del", index=index)

    def address(self, index: int, ip: IPv4Address, prefix: int) -> None:
        """Give a link an address; fine when it has it."""
        with naming(f"address {ip}/{prefix} on link {index}"):
            self._ip.addr("replace", index=index, address=str(ip), prefixlen=prefix)

    def routes(self) -> list[Route]:
        """The IPv4 routes of the main table, those of least metric first."""
        found = [
            _route(message)
            for message in self._ip.get_routes(family=socket.AF_INET, table=_MAIN_TABLE)
        ]
        return sorted(found, key=lambda route: route.metric)

    def route(self, to: IPv4Network | None, via: IPv4Address, index: int) -> None:
        """Lead to a network, or by default, through a gateway; replaces what led there before."""
        destination = "0.0.0.0/0" if to is None else str(to)
        with naming(f"route to {destination} via {via}"):
            self._ip.route("replace", dst=destination, gateway=str(via), oif=index)


def in_netns(netns_fd: int, work: Callable[[Links], _T]) -> _T:
    """Do `work` in a network namespace: in a thread of its own, which ends with it."""

    def run() -> _T:
        setns(netns_fd, CLONE.NEWNET)
        with Links() as links:
            return work(links)

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="netns") as thread:
        return thread.submit(run).result()


@contextmanager
def _fine_when_gone() -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        if error.code != errno.ENODEV:
            raise


@contextmanager
def naming(about: str) -> Iterator[None]:
    """Turn a NetlinkError into OSError(errno, text, about)."""
    try:
        yield
    except NetlinkError as error:
        code, text = error.args[:2]
        raise OSError(code, text, about) from None


def _route(message: Any) -> Route:
    network, length = message.get("dst"), message["dst_len"]
    # Of several hops of equal cost the first speaks for all.
    hops = message.get("multipath") or [{}]
    link = message.get("oif") or hops[0].get("oif") or 0
    return Route(
        IPv4Network((network, length)) if length else None, link, message.get("priority") or 0
    )
