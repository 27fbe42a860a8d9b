"""A pod's wire, made as the keeper makes it: in a network namespace of its own."""

import errno

LAB = """
import subprocess
namespace.unshare(CLONE.NEWNET)
for command in ("link add br0 type bridge", "addr add 10.1.2.1/24 dev br0", "link set br0 up"):
    subprocess.run(["ip", *command.split()], check=True)
node = netlink.connect()
bridge = netlink.index_of(node, "br0")
host = os.open("/proc/self/ns/net", os.O_RDONLY)
namespace.unshare(CLONE.NEWNET)
pod = os.open("/proc/self/ns/net", os.O_RDONLY)
inside = netlink.connect()
"""


def test_a_pod_speaks_to_its_node(alone):
    found = alone(
        LAB
        + """
netlink.request(node, netlink.veth("veth1", bridge, "eth0", pod, mtu=1400))
eth0 = netlink.index_of(inside, "eth0")
netlink.request(
    inside,
    netlink.link_up(1),
    netlink.link_up(eth0),
    netlink.address(eth0, "10.1.2.9", 24),
    netlink.route("10.1.2.1", None, eth0),
)
namespace.setns(host, CLONE.NEWNET)
server = socket.create_server(("10.1.2.1", 0))
before = netlink.link_stats(node)
namespace.setns(pod, CLONE.NEWNET)
client = socket.create_connection(server.getsockname())
connection, (peer, _) = server.accept()
client.sendall(bytes(50_000))
connection.recv(50_000, socket.MSG_WAITALL)
namespace.setns(host, CLONE.NEWNET)
cable = netlink.index_of(node, "veth1")
after = netlink.link_stats(node)
received, sent = (b - a for a, b in zip(before[cable], after[cable]))
answer([peer, received >= 50_000, sent < 50_000, set(after) == {1, bridge, cable}])
"""
    )
    assert found == ["10.1.2.9", True, True, True]


def test_ipv6_too(alone):
    found = alone(
        """
namespace.unshare(CLONE.NEWNET)
sock = netlink.connect()
netlink.request(
    sock,
    netlink.link_up(1),
    netlink.address(1, "fd00::5", 64),
    netlink.route(None, "fd01::/48", 1),
)
import subprocess
answer([
    subprocess.check_output(["ip", "-6", "-o", "addr", "show", "dev", "lo"], text=True),
    subprocess.check_output(["ip", "-6", "route", "show", "fd01::/48"], text=True),
])
"""
    )
    assert "fd00::5/64" in found[0]
    assert found[1].startswith("fd01::/48 dev lo")


def test_failures_name_the_message_that_failed(alone):
    found = alone(
        LAB
        + """
netlink.request(inside, netlink.link_up(1))
first = failure(netlink.request, inside,
    netlink.address(1, "10.9.9.9", 24),
    netlink.link_up(99),
    netlink.address(1, "10.9.9.9", 24),
)
answer([
    first,
    failure(netlink.request, inside, netlink.address(1, "10.9.9.9", 24)),
    failure(netlink.index_of, inside, "nobody"),
    failure(netlink.request, inside, netlink.route("10.200.0.1", None, 1)),
    netlink.index_of(inside, "lo"),
])
"""
    )
    assert found[0] == [errno.ENODEV, "link 99 up"]
    # The address before the failure was added: the kernel works off the whole batch.
    assert found[1] == [errno.EEXIST, "address 10.9.9.9/24 on link 1"]
    assert found[2] == [errno.ENODEV, "link nobody"]
    assert found[3] == [errno.ENETUNREACH, "route to default via 10.200.0.1"]
    assert found[4] == 1


def test_a_route_is_replaced_only_when_asked(alone):
    found = alone(
        """
namespace.unshare(CLONE.NEWNET)
sock = netlink.connect()
netlink.request(sock, netlink.link_up(1), netlink.address(1, "10.0.0.1", 24))
netlink.request(sock, netlink.route("10.0.0.2", "10.7.0.0/16", 1))
again = netlink.route("10.0.0.3", "10.7.0.0/16", 1)
refused = failure(netlink.request, sock, again)
netlink.request(sock, netlink.route("10.0.0.3", "10.7.0.0/16", 1, replace=True))
import subprocess
answer([refused, subprocess.check_output(["ip", "route", "show", "10.7.0.0/16"], text=True)])
"""
    )
    assert found[0][0] == errno.EEXIST
    assert found[1].startswith("10.7.0.0/16 via 10.0.0.3")


def test_a_cable_is_up_when_both_ends_are(alone):
    found = alone(
        LAB
        + """
netlink.request(node, netlink.veth("veth1", bridge, "eth0", pod))
cable = netlink.index_of(node, "veth1")
before = netlink.is_up(node, cable)
netlink.request(inside, netlink.link_up(netlink.index_of(inside, "eth0")))
netlink.await_up(node, cable, bridge)
after = netlink.is_up(node, cable)
netlink.request(node, netlink.veth("veth2", bridge, "eth1", pod))
late = failure(netlink.await_up, node, netlink.index_of(node, "veth2"), timeout=0)
answer([before, after, late[0], failure(netlink.is_up, node, 9999)])
"""
    )
    assert found == [False, True, errno.ETIMEDOUT, [errno.ENODEV, "link 9999"]]
