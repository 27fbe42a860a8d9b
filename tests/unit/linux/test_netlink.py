"""The rtnetlink codec, without a kernel."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.linux import netlink


@given(st.dictionaries(st.integers(1, 60), st.binary(max_size=40)))
def test_attributes_are_read_as_they_were_written(values: dict[int, bytes]) -> None:
    written = b"".join(netlink._attribute(type_, value) for type_, value in values.items())
    assert len(written) % 4 == 0
    assert netlink.attributes(written) == values


@given(st.binary(max_size=64))
def test_attributes_of_anything_end(data: bytes) -> None:
    netlink.attributes(data)


def test_link_up_is_what_ip_link_set_lo_up_sends() -> None:
    message = netlink.link_up(1).encode(7)
    # strace -x of iproute2: RTM_NEWLINK, REQUEST|ACK, seq, pid 0; ifi_index 1, flags and change UP.
    assert message == struct.pack("=IHHII", 32, 16, 5, 7, 0) + struct.pack("=BxHiII", 0, 0, 1, 1, 1)


@pytest.mark.parametrize("name", ["", "sixteen-bytes-xx", "ü" * 8])
def test_a_link_name_must_fit_the_kernel(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 15 bytes"):
        netlink.veth(name, 1, "eth0", 3)


@pytest.mark.parametrize(
    ("destination", "gateway", "family", "prefix"),
    [
        (None, "10.0.0.1", 2, 0),
        ("10.64.0.0/16", None, 2, 16),
        ("10.64.0.7", None, 2, 32),
        (None, "fd00::1", 10, 0),
        ("fd00::/64", "fe80::1", 10, 64),
    ],
)
def test_route_family_and_prefix(
    destination: str | None, gateway: str | None, family: int, prefix: int
) -> None:
    body = netlink.route(gateway, destination, 2).body
    assert (body[0], body[1]) == (family, prefix)


def test_the_kernel_s_words_are_part_of_the_error() -> None:
    text = netlink._attribute(1, b"too many cooks\0")
    payload = struct.pack("=i", -errno.EBUSY) + bytes(16) + text
    error = netlink._error(payload, 0x300, "link x")
    assert str(error) == "[Errno 16] Device or resource busy (too many cooks): 'link x'"
    assert netlink._error(struct.pack("=i", 0), 0, "link x") is None
