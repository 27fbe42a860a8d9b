"""Addresses: never one for two, and nobody else's."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.network import ipam

CLUSTER = IPv4Network("10.70.0.0/16")
SMALL = IPv4Network("10.70.1.0/29")  # five pods: .2 to .6


@pytest.mark.parametrize(
    ("taken", "chosen"),
    [
        ([], "10.64.0.0/16"),
        (["192.168.0.0/16", "172.17.0.0/16"], "10.64.0.0/16"),
        (["10.64.0.0/16"], "10.65.0.0/16"),
        (["10.64.3.0/24", "10.65.0.1/32"], "10.66.0.0/16"),
        (["10.64.0.0/11"], "10.96.0.0/16"),
    ],
)
def test_the_first_free_network_is_chosen(taken: list[str], chosen: str) -> None:
    assert ipam.choose_cluster_cidr(map(IPv4Network, taken)) == IPv4Network(chosen)


def test_no_free_network_is_said() -> None:
    with pytest.raises(ipam.NoFreeAddress, match=r"10\.64\.0\.0/16 to 10\.127\.0\.0/16"):
        ipam.choose_cluster_cidr([IPv4Network("10.0.0.0/8")])


def test_the_parts_of_a_cluster_do_not_overlap() -> None:
    parts = [ipam.fabric_cidr(CLUSTER)]
    parts += [ipam.node_cidr(CLUSTER, index) for index in range(1, ipam.NODES_MAX + 1)]
    assert len(set(parts)) == len(parts)
    assert all(part.subnet_of(CLUSTER) and part.prefixlen == 24 for part in parts)
    addresses = {ipam.fabric_address(CLUSTER, index) for index in range(1, ipam.NODES_MAX + 1)}
    assert len(addresses) == ipam.NODES_MAX
    assert all(a in parts[0] and a != parts[0].broadcast_address for a in addresses)


def test_a_node_s_own_network() -> None:
    assert ipam.node_cidr(CLUSTER, 3) == IPv4Network("10.70.3.0/24")
    assert ipam.gateway(ipam.node_cidr(CLUSTER, 3)) == IPv4Address("10.70.3.1")
    assert ipam.fabric_address(CLUSTER, 3) == IPv4Address("10.70.0.13")


@pytest.mark.parametrize("index", [0, -1, 245])
def test_a_node_index_out_of_range(index: int) -> None:
    with pytest.raises(ValueError, match="must be 1 to 244"):
        ipam.node_cidr(CLUSTER, index)


def test_a_pod_keeps_its_address() -> None:
    pool = ipam.PodPool(SMALL)
    assert pool.allocate("a") == pool.allocate("a") == "10.70.1.2"
    assert pool.allocate("b") == "10.70.1.3"


def test_a_released_address_comes_back_last() -> None:
    pool = ipam.PodPool(SMALL)
    first = pool.allocate("a")
    pool.release("a")
    pool.release("a")
    later = [pool.allocate(uid) for uid in "bcdef"]
    assert later[-1] == first
    assert len(set(later)) == 5


def test_a_full_pool_says_so() -> None:
    pool = ipam.PodPool(SMALL)
    for uid in "abcde":
        pool.allocate(uid)
    with pytest.raises(ipam.NoFreeAddress, match=r"all 5 pod addresses of 10\.70\.1\.0/29"):
        pool.allocate("f")
    pool.release("c")
    assert pool.allocate("f") == "10.70.1.4"


@pytest.mark.parametrize("ip", ["10.70.1.0", "10.70.1.1", "10.70.1.7", "10.70.2.2"])
def test_only_a_pod_address_can_be_adopted(ip: str) -> None:
    with pytest.raises(ValueError, match="is not a pod address"):
        ipam.PodPool(SMALL).adopt("a", ip)


def test_adoption_conflicts_are_named() -> None:
    pool = ipam.PodPool(SMALL, {"a": "10.70.1.4"})
    pool.adopt("a", "10.70.1.4")
    with pytest.raises(ValueError, match=r"10\.70\.1\.4 is pod a's"):
        pool.adopt("b", "10.70.1.4")
    with pytest.raises(ValueError, match=r"has 10\.70\.1\.4 already"):
        pool.adopt("a", "10.70.1.5")


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcdefgh")), max_size=60))
def test_no_address_is_ever_two_pods(steps: list[tuple[bool, str]]) -> None:
    pool = ipam.PodPool(SMALL)
    for taking, uid in steps:
        if taking:
            try:
                pool.allocate(uid)
            except ipam.NoFreeAddress:
                assert len(pool.leases) == 5
        else:
            pool.release(uid)
        assert len(set(pool.leases.values())) == len(pool.leases)
        assert ipam.PodPool(SMALL, pool.leases).leases == pool.leases
