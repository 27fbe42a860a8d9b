"""A pod's own network: an address on its node's bridge, and nothing else."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys

import pytest

from engine.runtime.runtime import SandboxConfig
from tests.real.runtime.conftest import Node, python_spec, until

GATEWAY = "10.99.7.1"


def ip(node: Node, *words: str) -> str:
    """ip(8) in the node's network namespace."""
    fd = node.runtime.netns_fd()
    command = ["nsenter", f"--net=/proc/self/fd/{fd}", "ip", *words]
    done = subprocess.run(command, capture_output=True, text=True, pass_fds=(fd,), check=True)
    return done.stdout


@pytest.fixture
async def bridge(node: Node) -> Node:
    ip(node, "link", "add", "br0", "type", "bridge")
    ip(node, "addr", "add", f"{GATEWAY}/24", "dev", "br0")
    ip(node, "link", "set", "br0", "up")
    return node


def pod(name: str, number: int, **more: object) -> SandboxConfig:
    fields: dict[str, object] = {
        "id": name,
        "hostname": name,
        "ip": f"10.99.7.{number}",
        "prefix": 24,
        "gateway": GATEWAY,
        **more,
    }
    return SandboxConfig(**fields)  # type: ignore[arg-type]


PING = """
import socket, struct, sys
def ask(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as sock:
        sock.settimeout(10)
        sock.sendto(struct.pack("!BBHHH", 8, 0, 0, 1, 1), (address, 0))
        reply, (sender, _) = sock.recvfrom(100)
        print("reply" if reply[0] == 0 else reply[0], "from", sender)
for address in {addresses!r}:
    ask(address)
"""

SERVE = """
import socket
server = socket.create_server(("0.0.0.0", 80))
print("listening", flush=True)
while True:
    sock, (peer, _) = server.accept()
    sock.sendall(("hello " + peer).encode())
    sock.close()
"""


async def test_two_pods_reach_each_other_and_their_node(bridge: Node) -> None:
    await bridge.runtime.create_sandbox(pod("a", 2))
    await bridge.runtime.create_sandbox(pod("b", 3))
    addresses = ["10.99.7.3", GATEWAY, "127.0.0.1"]
    text = await bridge.run("c", spec=python_spec(PING.format(addresses=addresses)), sandbox="a")
    assert text == "".join(f"reply from {address}\n" for address in addresses)


async def test_the_inside_of_a_pods_network(bridge: Node) -> None:
    state = await bridge.runtime.create_sandbox(pod("a", 2, mtu=1400, hostname="db-0"))
    code = """
import socket
print(socket.gethostname(), [name for _, name in socket.if_nameindex()])
print(open("/sys/class/net/eth0/mtu").read().strip(), open("/sys/class/net/eth0/operstate").read())
print(open("/proc/net/route").read())
"""
    text = await bridge.run("c", spec=python_spec(code), sandbox="a")
    assert text.startswith("db-0 ['lo', 'eth0']\n1400 up\n")
    gateway = int.from_bytes(socket.inet_aton(GATEWAY), "little")
    assert f"eth0\t00000000\t{gateway:08X}" in text
    assert state.link.startswith("v")
    assert len(state.link) == 9
    assert f"{state.index}: {state.link}@" in ip(bridge, "link", "show", "master", "br0")
    assert [s for s in await bridge.runtime.sandboxes() if s.id == "a"] == [state]


async def test_containers_of_a_pod_share_its_network(bridge: Node) -> None:
    await bridge.runtime.create_sandbox(pod("a", 2))
    server = await bridge.start("server", spec=python_spec(SERVE), sandbox="a")
    await until(lambda: "listening" in bridge.log("server").read_text())
    code = "import socket; print(socket.create_connection(('127.0.0.1', 80), 10).recv(99).decode())"
    assert await bridge.run("client", spec=python_spec(code), sandbox="a") == "hello 127.0.0.1\n"
    client = (await bridge.future("client")).pid
    assert client != server.pid


async def test_dial_connects_from_the_node(bridge: Node) -> None:
    await bridge.runtime.create_sandbox(pod("a", 2))
    await bridge.start("c", spec=python_spec(SERVE), sandbox="a")
    await until(lambda: "listening" in bridge.log("c").read_text())
    sock = await bridge.runtime.dial("10.99.7.2", 80, 10)
    assert not os.get_inheritable(sock.fileno())
    with sock:
        said = await asyncio.get_running_loop().sock_recv(sock, 100)
    assert said == f"hello {GATEWAY}".encode()
    with pytest.raises(ConnectionRefusedError):
        await bridge.runtime.dial("10.99.7.2", 81, 10)
    with pytest.raises(TimeoutError):
        await bridge.runtime.dial("10.99.7.2", 80, 0)


async def test_its_traffic_is_counted_by_the_nodes_end(bridge: Node) -> None:
    state = await bridge.runtime.create_sandbox(pod("a", 2))
    spec = python_spec(PING.format(addresses=[GATEWAY]))
    await bridge.run("c", spec=spec, sandbox="a")
    assert bytes_at(bridge, state.index) > 0


COUNT = """
from engine.linux import netlink
print(netlink.link_stats(netlink.connect())[{index}][0])
"""


def bytes_at(node: Node, index: int) -> int:
    fd = node.runtime.netns_fd()
    command = ["nsenter", f"--net=/proc/self/fd/{fd}", sys.executable, "-c"]
    command.append(COUNT.format(index=index))
    done = subprocess.run(command, capture_output=True, text=True, pass_fds=(fd,), check=True)
    return int(done.stdout)


async def test_the_cable_goes_with_the_pod(bridge: Node) -> None:
    state = await bridge.runtime.create_sandbox(pod("a", 2))
    await bridge.runtime.remove_sandbox("a")
    await until(lambda: state.link not in ip(bridge, "link"))
    # Its address is free again at once.
    await bridge.runtime.create_sandbox(pod("b", 2))


async def test_what_cannot_be_made_is_named_and_leaves_nothing(bridge: Node) -> None:
    with pytest.raises(OSError, match="nobr"):
        await bridge.runtime.create_sandbox(pod("a", 2, bridge="nobr"))
    with pytest.raises(OSError, match=r"route to default via 10\.98\.0\.1"):
        await bridge.runtime.create_sandbox(pod("a", 2, gateway="10.98.0.1"))
    assert [s.id for s in await bridge.runtime.sandboxes()] == ["pod"]
    state = await bridge.runtime.create_sandbox(pod("b", 2))
    assert "br0" in ip(bridge, "link", "show", state.link)
    # The keeper is back in its own namespaces.
    keeper = bridge.runtime.keeper_pid
    assert os.stat(f"/proc/{keeper}/ns/net").st_ino == os.fstat(bridge.runtime.netns_fd()).st_ino
    assert os.stat(f"/proc/{keeper}/ns/uts").st_ino == os.stat("/proc/self/ns/uts").st_ino
