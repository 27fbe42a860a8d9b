"""What a pod can reach and disturb on the network: its node's bridge as any neighbour, no more.

Beyond that a bridge is a bridge, as with Docker: a container holds CAP_NET_RAW by default, and so
can claim another pod's address on its own node by ARP; a manifest drops it where that matters.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.real.runtime.conftest import Node
from tests.real.runtime.test_network import GATEWAY, bridge, ip, pod
from tests.security.conftest import Captive
from tests.security.inside import read, say, tried

__all__ = ["bridge"]

A, B = {"sandbox": "a"}, {"sandbox": "b"}


@pytest.fixture
async def pods(bridge: Node) -> Node:
    """Two pods on the bridge of a node."""
    await bridge.runtime.create_sandbox(pod("a", 2))
    await bridge.runtime.create_sandbox(pod("b", 3))
    return bridge


@pytest.fixture
def listeners() -> Iterator[list[socket.socket]]:
    """Of the machine: on its loopback, and under a name that is no file's."""
    tcp = socket.create_server(("127.0.0.1", 0))
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(f"\0podarium-{os.urandom(8).hex()}")
    abstract.listen()
    with closing(tcp), closing(abstract):
        yield [tcp, abstract]


def knock(port: int, gateway: str, abstract: str, sockets: list[str]) -> dict[str, str]:
    import socket

    def unix(name):
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect(name)

    def abstract_name():
        socket.socket(socket.AF_UNIX).connect("\0" + abstract)

    found = {"abstract": tried(abstract_name)}
    for host in ("127.0.0.1", "127.0.0.2", gateway):
        found[host] = tried(socket.create_connection, (host, port), 5)
    return found | {path: tried(unix, path) for path in sockets}


async def test_sockets_of_the_machine_are_out_of_reach(
    captive: Captive, pods: Node, listeners: list[socket.socket]
) -> None:
    tcp, abstract = listeners
    name = abstract.getsockname()[1:].decode()
    ours = [str(pods.paths.keeper_socket), str(pods.paths.cluster.api_socket)]
    port = tcp.getsockname()[1]
    found = await captive.run(knock, port, GATEWAY, name, ours, target=A)
    assert {found.pop(path) for path in ours} == {"ENOENT"}
    assert set(found.values()) == {"ECONNREFUSED"}
    for listener in listeners:
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def change() -> dict[str, str]:
    import fcntl
    import socket
    import struct

    def netlink(kind, body, family=0):
        flags = 0x1 | 0x4 | 0x400 | 0x100  # request, acknowledge, create, replace
        message = struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family) as sock:
            sock.send(message)
            error = struct.unpack_from("=i", sock.recv(4096), 16)[0]
        if error:
            raise OSError(-error, os.strerror(-error))

    def ioctl(number):
        with socket.socket() as sock:
            fcntl.ioctl(sock, number, struct.pack("16s24s", b"eth0", b"") + bytes(80))

    route = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 254, 3, 0, 1, 0)
    index = socket.if_nametoindex("eth0")
    link = struct.pack("=BxHiII", 0, 0, index, 0, 1)
    address = struct.pack("=BBBBI", socket.AF_INET, 24, 0, 0, index)
    address += struct.pack("=HH4s", 8, 2, socket.inet_aton("10.99.7.9"))
    return {
        "route": tried(netlink, 24, route),
        "link": tried(netlink, 16, link),
        "address": tried(netlink, 20, address),
        "neighbour": tried(netlink, 28, struct.pack("=BxxxiHBB", 2, index, 0x80, 0, 1)),
        "rules": tried(netlink, 32, route),
        "nftables": tried(netlink, 0xA00, struct.pack("=BBH", 2, 0, 0), 12),
        "old route": tried(ioctl, 0x890B),
        "old address": tried(ioctl, 0x8916),
        "old flags": tried(ioctl, 0x8914),
        "bridge": tried(ioctl, 0x89A0),
        "tun": tried(os.open, "/dev/net/tun", os.O_RDWR),
        "setting": tried(os.open, "/proc/sys/net/ipv4/ip_forward", os.O_WRONLY),
    }


async def test_neither_its_own_network_nor_its_nodes_can_be_changed(
    captive: Captive, pods: Node
) -> None:
    before = [ip(pods, *words.split()) for words in ("route", "addr", "rule")]
    found = await captive.run(change, target=A)
    assert found.pop("setting") == "EROFS"
    assert found.pop("tun") == "ENOENT"
    assert set(found.values()) == {"EPERM"}, found
    assert [ip(pods, *words.split()) for words in ("route", "addr", "rule")] == before


def families() -> list[int]:
    import socket

    def make(family):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
            if tried(socket.socket, family, kind) == "DONE":
                return True
        return False

    return [family for family in range(64) if make(family)]


async def test_no_family_of_sockets_passes_the_network_namespace(captive: Captive) -> None:
    """AF_VSOCK would reach the hypervisor; AF_ALG and what nobody uses have had kernel holes."""
    found = await captive.run(families)
    assert not {socket.AF_VSOCK, socket.AF_ALG} & set(found)
    assert {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6} <= set(found)


def listen_in(word: str) -> list[bool]:
    """Whether anything but what was meant for everyone is heard."""
    import socket

    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    say("listening")
    heard = []
    while True:
        frame = sniffer.recv(65536)
        if b"to everyone" in frame:
            return heard
        if word.encode() in frame:
            heard.append(frame.hex())


def confide(gateway: str, everyone: str, word: str) -> None:
    import socket
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as sock:
        for number, text in enumerate((b"hello", word.encode(), word.encode())):
            sock.sendto(struct.pack("!BBHHH", 8, 0, 0, 1, number) + text, (gateway, 0))
            sock.recv(1000)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.sendto(b"to everyone", (everyone, 9))


async def test_a_neighbour_does_not_hear_what_is_not_for_it(captive: Captive, pods: Node) -> None:
    await captive.begin(listen_in, "between us", target=A)
    await captive.says("listening")
    everyone = GATEWAY.rpartition(".")[0] + ".255"
    await captive.run(confide, GATEWAY, everyone, "between us", id="d", target=B)
    assert await captive.outcome() == []


def advertise(everyone: str) -> None:
    """Be an IPv6 router (RFC 4861, 4.2) to everyone on the link."""
    import socket
    import struct

    us, all_nodes = (socket.inet_pton(socket.AF_INET6, text) for text in ("fe80::bad", "ff02::1"))
    prefix = socket.inet_pton(socket.AF_INET6, "2001:db8::")
    body = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    body += struct.pack("!BBBBIII16s", 3, 4, 64, 0xC0, 1800, 1800, 0, prefix)
    checked = us + all_nodes + struct.pack("!II", len(body), 58) + body
    total = sum(struct.unpack(f"!{len(checked) // 2}H", checked))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    body = body[:2] + struct.pack("!H", ~total & 0xFFFF) + body[4:]
    packet = struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + us + all_nodes + body
    frame = bytes.fromhex("333300000001 02000000bad0 86dd") + packet
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    link.bind(("eth0", 0))
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    for _ in range(20):
        link.send(frame)
        sock.sendto(b"advertised", (everyone, 9999))


def be_advised() -> list[str]:
    """The IPv6 routes after a number of advertisements."""
    import socket

    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("", 9999))
    say("listening")
    for _ in range(20):
        sock.recv(100)
    return read("/proc/net/ipv6_route").decode().splitlines()


async def test_nobody_listens_to_a_pod_that_says_it_is_a_router(
    captive: Captive, pods: Node
) -> None:
    """CVE-2020-10749: traffic of its neighbours, and of the node, would go through it."""
    await captive.begin(be_advised, target=B)
    await captive.says("listening")
    everyone = GATEWAY.rpartition(".")[0] + ".255"
    await captive.run(advertise, everyone, id="d", target=A)
    routes = await captive.outcome()
    assert [line for line in routes if "bad" in line or line.startswith("20010db8")] == []
    assert "2001:db8" not in ip(pods, "-6", "route")
    assert "default" not in ip(pods, "-6", "route")
