"""Messages between engine and keeper, of any size, with descriptors."""

import importlib
import os
import pkgutil
import socket
from collections.abc import Iterator

import pytest

from engine.runtime import oci, wire
from engine.runtime.ops.base import Op

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
    yield ends
    for end in ends:
        end.close()


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("size", [0, 1000, 32 * 1024 - 20, 40_000, 5_000_000])
def test_a_message_arrives_whole(pair: Pair, size: int) -> None:
    before = open_descriptors()
    message = (7, "verb", b"x" * size, {"a": [1, 2.5, None, True]})
    wire.Packet(message).send(pair[0])
    assert wire.receive(pair[1]) == (message, [])
    assert open_descriptors() == before


@pytest.mark.parametrize("size", [0, 100_000])
def test_descriptors_travel_and_stay_the_senders(pair: Pair, size: int) -> None:
    reader, writer = os.pipe()
    packet = wire.Packet((1, b"x" * size), (writer,))
    os.close(writer)
    packet.send(pair[0])
    received = wire.receive(pair[1])
    assert received is not None
    _, (fd,) = received
    assert not os.get_inheritable(fd)
    os.write(fd, b"through")
    os.close(fd)
    assert os.read(reader, 100) == b"through"
    assert os.read(reader, 100) == b""
    os.close(reader)


def test_a_full_socket_can_be_tried_again(pair: Pair) -> None:
    sent = 0
    packet = wire.Packet((1, b"x" * 30_000))
    try:
        while True:
            packet.send(pair[0])
            sent += 1
            packet = wire.Packet((1, b"x" * 30_000))
    except BlockingIOError:
        pass
    assert sent
    for _ in range(sent):
        assert wire.receive(pair[1]) is not None
    packet.send(pair[0])
    assert wire.receive(pair[1]) == ((1, b"x" * 30_000), [])


def test_the_other_end_being_gone_is_none(pair: Pair) -> None:
    pair[0].close()
    assert wire.receive(pair[1]) is None


def test_nothing_yet_is_told(pair: Pair) -> None:
    with pytest.raises(BlockingIOError):
        wire.receive(pair[1])


def test_only_a_keepers_own_operations_travel() -> None:
    """`podarium oci` has some by the same names, which would be decoded in their place."""
    for module in pkgutil.iter_modules(oci.__path__, f"{oci.__name__}."):
        importlib.import_module(module.name)
    assert Op.KINDS["mount"].__module__ == "engine.runtime.ops.mounts"
    assert {kind.__module__.rpartition(".")[0] for kind in Op.KINDS.values()} == {
        "engine.runtime.ops"
    }
