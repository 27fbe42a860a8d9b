"""A whole machine in a network namespace: its uplink, its nodes, and pods that speak to each other.

The host of these tests is not this machine's own network, so nothing here can disturb it, and what
is left behind can be compared to the last route.
"""

import errno
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from pathlib import Path
from typing import TypeVar

import pytest

from engine.home import ClusterPaths
from engine.linux import netlink
from engine.linux.flags import CLONE
from engine.linux.namespace import setns, unshare
from engine.network import fabric, ipam, nat
from engine.network.fabric import Fabric

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

T = TypeVar("T")
INTERNET = "198.51.100.1"
HOST = "198.51.100.2"


def inside(netns: int, work: Callable[[], T]) -> T:
    """Do something in a network namespace, in a thread of its own."""

    def run() -> T:
        setns(netns, CLONE.NEWNET)
        return work()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result()


def new_netns() -> int:
    """The descriptor of a new network namespace, which is gone when that is closed."""

    def make() -> int:
        unshare(CLONE.NEWNET)
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(make).result()


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


def await_up(*links: str) -> None:
    """Until links carry something: the kernel acts a moment after their other end is up."""
    with netlink.connect() as sock:
        netlink.await_up(sock, *(netlink.index_of(sock, link) for link in links))


def wire(
    netns: int, bridge: str, name: str, pod: int, address: str, gateway: str, prefix: int
) -> None:
    """Connect a pod to a bridge, as the keeper does."""

    def outer() -> None:
        with netlink.connect() as sock:
            index = netlink.index_of(sock, bridge)
            netlink.request(sock, netlink.veth(name, index, "eth0", pod))

    def inner() -> None:
        with netlink.connect() as sock:
            eth0 = netlink.index_of(sock, "eth0")
            netlink.request(
                sock,
                netlink.link_up(1),
                netlink.link_up(eth0),
                netlink.address(eth0, address, prefix),
                netlink.route(gateway, None, eth0),
            )

    inside(netns, outer)
    inside(pod, inner)
    inside(netns, lambda: await_up(name, bridge))


def speak(client: int, server: int, address: str) -> str:
    """Connect by TCP from one namespace to an address in another; who the server saw."""
    listening = inside(server, lambda: socket.create_server((address, 0)))
    with listening:
        port = listening.getsockname()[1]
        with inside(client, lambda: socket.create_connection((address, port), timeout=10)) as one:
            connection, (peer, _) = listening.accept()
            with connection:
                one.sendall(b"x" * 5000)
                assert connection.recv(5000, socket.MSG_WAITALL) == b"x" * 5000
                return peer


def unreachable(client: int, server: int, address: str) -> bool:
    with inside(server, lambda: socket.create_server((address, 0))) as listening:
        port = listening.getsockname()[1]
        try:
            inside(client, lambda: socket.create_connection((address, port), timeout=0.3))
        except TimeoutError:
            return True
    return False


class Machine:
    """The host, with the internet behind eth0, and pods and nodes of any cluster."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.fds: list[int] = []
        self.host = self.netns()
        self.internet = self.netns()

    def netns(self) -> int:
        self.fds.append(new_netns())
        return self.fds[-1]

    def drop(self, netns: int) -> None:
        self.fds.remove(netns)
        os.close(netns)

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)

    def connect(self) -> None:
        """An uplink with a small MTU, and a default route."""
        ip("link", "add", "eth0", "mtu", "1400", "type", "veth", "peer", "name", "up0")
        ip("link", "set", "up0", "netns", f"/proc/{os.getpid()}/fd/{self.internet}")
        ip("addr", "add", f"{HOST}/24", "dev", "eth0")
        ip("link", "set", "eth0", "up")
        ip("link", "set", "lo", "up")
        inside(self.internet, lambda: ip("addr", "add", f"{INTERNET}/24", "dev", "up0"))
        inside(self.internet, lambda: ip("link", "set", "up0", "up"))
        ip("route", "add", "default", "via", INTERNET)
        await_up("eth0")

    def cluster(self, name: str, cidr: str, nodes: int = 2) -> "Cluster":
        return Cluster(self, name, cidr, nodes)

    def state(self) -> dict[str, object]:
        """Everything that a cluster might leave behind."""
        return {
            "links": ip("-o", "link"),
            "addresses": ip("-o", "-4", "addr"),
            "routes": ip("-4", "route", "show", "table", "all"),
            "tables": nat.tables(),
            "forwarding": {
                file.parent.name: file.read_text()
                for file in Path("/proc/sys/net/ipv4/conf").glob("*/forwarding")
            },
        }


class Cluster:
    def __init__(self, machine: Machine, name: str, cidr: str, nodes: int) -> None:
        self.machine = machine
        self.cidr = IPv4Network(cidr)
        self.fabric = Fabric(ClusterPaths.of(machine.tmp_path, name), cidr)
        self.nodes = {index: machine.netns() for index in range(1, nodes + 1)}

    def up(self) -> "Cluster":
        self.fabric.ensure_host()
        for index, netns in self.nodes.items():
            self.fabric.ensure_node(index, netns, self.nodes)
        return self

    def pod(self, index: int, last: int = 2) -> tuple[int, str]:
        """A pod on a node: its namespace and address."""
        pods = ipam.node_cidr(self.cidr, index)
        pod, address = self.machine.netns(), str(pods.network_address + last)
        bridge, gateway = fabric.NODE_BRIDGE, str(ipam.gateway(pods))
        wire(self.nodes[index], bridge, f"veth{last}", pod, address, gateway, pods.prefixlen)
        return pod, address


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """The thread that runs the test is inside the machine meanwhile."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    machine = Machine(tmp_path)
    try:
        setns(machine.host, CLONE.NEWNET)
        machine.connect()
        yield machine
    finally:
        setns(home, CLONE.NEWNET)
        os.close(home)
        machine.close()


def test_pods_reach_pods_of_their_own_and_of_another_node(machine: Machine) -> None:
    cluster = machine.cluster("one", "10.64.0.0/16").up()
    (first, _), (beside, near), (_, far) = cluster.pod(1), cluster.pod(1, 3), cluster.pod(2)
    far_pod = machine.fds[-1]
    assert speak(first, beside, near) == "10.64.1.2"
    assert speak(first, far_pod, far) == "10.64.1.2"


def test_host_and_node_reach_pods_and_are_reached(machine: Machine) -> None:
    cluster = machine.cluster("one", "10.64.0.0/16").up()
    pod, address = cluster.pod(2)
    assert speak(machine.host, pod, address) == "10.64.0.1"
    assert speak(cluster.nodes[2], pod, address) == "10.64.2.1"
    assert speak(pod, machine.host, "10.64.0.1") == address


def test_pods_reach_the_outside_which_sees_only_the_host(machine: Machine) -> None:
    pod, _ = machine.cluster("one", "10.64.0.0/16").up().pod(1)
    assert speak(pod, machine.internet, INTERNET) == HOST


def test_strangers_do_not_reach_pods(machine: Machine) -> None:
    one = machine.cluster("one", "10.64.0.0/16").up()
    two = machine.cluster("two", "10.65.0.0/16").up()
    pod, address = one.pod(1)
    other, _ = two.pod(1)
    inside(machine.internet, lambda: ip("route", "add", "10.64.0.0/16", "via", HOST))
    assert unreachable(machine.internet, pod, address)
    assert unreachable(other, pod, address)


def test_everything_carries_the_uplink_s_mtu(machine: Machine) -> None:
    cluster = machine.cluster("one", "10.64.0.0/16").up()
    assert cluster.fabric.mtu == 1400
    node = inside(cluster.nodes[1], lambda: ip("-o", "link"))
    ours = [line for line in (ip("-o", "link") + node).splitlines() if "lo:" not in line]
    assert len(ours) == 6
    assert all("mtu 1400" in line for line in ours)


DROPPING = """
table ip filter {
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
    }
}
"""
DOCKER = """
table ip filter {
    chain DOCKER-USER {
        counter return comment "somebody's own"
    }
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        jump DOCKER-USER
    }
}
"""


@pytest.mark.skipif(shutil.which("nft") is None, reason="needs nft to play the other firewall")
@pytest.mark.parametrize("ruleset", [DROPPING, DOCKER], ids=["dropping", "docker"])
def test_a_firewall_of_others_lets_pods_through(machine: Machine, ruleset: str) -> None:
    subprocess.run(["nft", "-f", "-"], input=ruleset, text=True, check=True)
    before = subprocess.check_output(["nft", "list", "ruleset"])
    cluster = machine.cluster("one", "10.64.0.0/16").up().up()
    (pod, address), (far, _) = cluster.pod(1), cluster.pod(2)
    assert speak(pod, machine.internet, INTERNET) == HOST
    assert speak(far, pod, address) == "10.64.2.2"
    assert subprocess.check_output(["nft", "list", "ruleset"]).count(b"accept comment") == 2
    assert sum("nft rule ip filter" in line for line in fabric.leftovers(cluster.fabric.paths)) == 2
    inside(machine.internet, lambda: ip("route", "add", "10.64.0.0/16", "via", HOST))
    assert unreachable(machine.internet, pod, address)
    cluster.fabric.remove()
    assert subprocess.check_output(["nft", "list", "ruleset"]) == before


def test_again_changes_nothing(machine: Machine) -> None:
    cluster = machine.cluster("one", "10.64.0.0/16").up()
    pod, address = cluster.pod(1)
    far, _ = cluster.pod(2)
    before = machine.state()
    node = inside(cluster.nodes[1], lambda: ip("-4", "-o", "addr") + ip("route"))
    cluster.up()
    assert machine.state() == before
    assert inside(cluster.nodes[1], lambda: ip("-4", "-o", "addr") + ip("route")) == node
    assert speak(far, pod, address) == "10.64.2.2"


def test_remove_leaves_nothing(machine: Machine) -> None:
    before = machine.state()
    cluster = machine.cluster("one", "10.64.0.0/16").up()
    during = machine.state()
    assert all(during[what] != before[what] for what in before)
    left = fabric.leftovers(cluster.fabric.paths)
    assert len(left) == 4
    assert any(cluster.fabric.paths.nft_table in line for line in left)
    cluster.fabric.remove()
    assert machine.state() == before
    assert fabric.leftovers(cluster.fabric.paths) == []
    cluster.fabric.remove()
    assert machine.state() == before


def test_remove_of_a_part(machine: Machine) -> None:
    """After a crash anywhere in the middle."""
    before = machine.state()
    cluster = machine.cluster("one", "10.64.0.0/16")
    cluster.fabric.ensure_host()
    Path("/proc/sys/net/ipv4/conf/eth0/forwarding").write_text("0")
    ip("link", "del", cluster.fabric.paths.bridge)
    cluster.fabric.remove()
    assert machine.state() == before


def test_the_last_cluster_puts_the_settings_back(machine: Machine) -> None:
    def forwarding() -> str:
        return Path("/proc/sys/net/ipv4/conf/eth0/forwarding").read_text().strip()

    one = machine.cluster("one", "10.64.0.0/16", nodes=1).up()
    two = machine.cluster("two", "10.65.0.0/16", nodes=1).up()
    pod, _ = two.pod(1)
    one.up()
    one.fabric.remove()
    assert forwarding() == "1"
    assert speak(pod, machine.internet, INTERNET) == HOST
    two.fabric.remove()
    assert forwarding() == "0"


def test_clusters_come_and_go_at_the_same_time(machine: Machine) -> None:
    before = machine.state()
    clusters = [machine.cluster(f"c{n}", f"10.{64 + n}.0.0/16", nodes=1) for n in range(3)]

    def come_and_go(cluster: Cluster) -> None:
        setns(machine.host, CLONE.NEWNET)
        for _ in range(3):
            cluster.up()
            cluster.fabric.remove()

    with ThreadPoolExecutor(len(clusters)) as threads:
        list(threads.map(come_and_go, clusters))
    assert machine.state() == before


def test_a_setting_that_was_on_stays_on(machine: Machine) -> None:
    file = Path("/proc/sys/net/ipv4/conf/eth0/forwarding")
    file.write_text("1")
    machine.cluster("one", "10.64.0.0/16", nodes=1).up().fabric.remove()
    assert file.read_text().strip() == "1"


def test_a_node_that_comes_back_is_connected_anew(machine: Machine) -> None:
    cluster = machine.cluster("one", "10.64.0.0/16").up()
    pod, address = cluster.pod(2)
    # The old namespace lives on, as while its last process is still being torn down.
    cluster.nodes[1] = machine.netns()
    cluster.up()
    fresh, _ = cluster.pod(1)
    assert speak(fresh, pod, address) == "10.64.1.2"
    machine.drop(cluster.nodes[1])
    machine.drop(fresh)
    cluster.nodes[1] = machine.netns()
    cluster.up()
    fresher, _ = cluster.pod(1)
    assert speak(fresher, pod, address) == "10.64.1.2"


def test_without_an_uplink_pods_still_reach_each_other(machine: Machine) -> None:
    ip("route", "del", "default")
    before = machine.state()
    cluster = machine.cluster("one", "10.64.0.0/16").up()
    assert cluster.fabric.mtu == 1500
    (one, address), (two, _) = cluster.pod(1), cluster.pod(2)
    assert speak(two, one, address) == "10.64.2.2"
    cluster.fabric.remove()
    assert machine.state() == before


def test_an_uplink_that_changes_is_followed(machine: Machine) -> None:
    cluster = machine.cluster("one", "10.64.0.0/16", nodes=1).up()
    pod, _ = cluster.pod(1)
    ip("link", "set", "eth0", "down")
    ip("link", "set", "eth0", "name", "eth9", "up")
    ip("route", "add", "default", "via", INTERNET)
    cluster.up()
    assert speak(pod, machine.internet, INTERNET) == HOST
    assert "eth9 forwarding was 1" in nat.tables()[cluster.fabric.paths.nft_table]
    cluster.fabric.remove()
    assert nat.tables() == {}


def test_a_network_of_someone_else_is_not_taken(machine: Machine) -> None:
    ip("route", "add", "10.64.5.0/24", "via", INTERNET)
    before = machine.state()
    assert IPv4Network("10.64.5.0/24") in ipam.taken_networks()
    assert ipam.choose_cluster_cidr(ipam.taken_networks()) == IPv4Network("10.65.0.0/16")
    with pytest.raises(OSError, match=r"10\.64\.5\.0/24 to eth0") as raised:
        machine.cluster("one", "10.64.0.0/16").fabric.ensure_host()
    assert raised.value.errno == errno.EADDRINUSE
    assert machine.state() == before


def test_failures_name_their_object(machine: Machine) -> None:
    cluster = machine.cluster("one", "10.64.0.0/16")
    with pytest.raises(OSError, match=cluster.fabric.paths.bridge) as raised:
        cluster.fabric.ensure_node(1, cluster.nodes[1])
    assert raised.value.errno == errno.ENODEV
    with pytest.raises(OSError, match="nft table") as raised:
        nat.install("podarium_" + "x" * 300, cluster.cidr, "br", "")
    assert raised.value.errno == errno.ERANGE


def test_no_thread_stays_behind(machine: Machine) -> None:
    before = threading.active_count()
    machine.cluster("one", "10.64.0.0/16").up().fabric.remove()
    assert threading.active_count() == before


def test_the_table_reads_as_documented(machine: Machine) -> None:
    """The kernel's own list, and nft(8)'s words for it where that is installed."""
    cluster = machine.cluster("one", "10.64.0.0/16", nodes=1).up()
    table, bridge = cluster.fabric.paths.nft_table, cluster.fabric.paths.bridge
    assert nat.tables() == {table: "eth0 forwarding was 0"}
    try:
        done = subprocess.run(
            ["nft", "list", "ruleset"], capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        pytest.skip("nft is not installed")
    rules = [line.strip() for line in done.stdout.splitlines()]
    assert "ip saddr 10.64.0.0/16 ip daddr != 10.64.0.0/16 masquerade" in rules
    assert f'iifname != "{bridge}" oifname "{bridge}" ct state ! established,related drop' in rules
