"""Each hostile answer is refused with the reason, and leaves a store without a trace of it."""

import socket
from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.images.errors import BadImage
from engine.images.registry.errors import BadAnswer, Denied, Unreachable
from engine.images.registry.pull import pull
from engine.images.registry.wire import Patience
from tests.unit.images.registry.conftest import World
from tests.unit.images.registry.fake import INDEX, Handler, digest
from tests.unit.images.registry.hostile import (
    CHUNKED,
    DATA,
    HOSTILE,
    LAYER_PATH,
    OK,
    Hostile,
    declared,
    endless,
    layer,
    reply,
)


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_hostile_answers_are_refused(world: World, hostile: Hostile) -> None:
    hostile.arrange(world)
    with pytest.raises(hostile.error) as refused:
        world.pull()
    assert hostile.words in str(refused.value)
    assert str(refused.value).isprintable()
    left_alone(world)


def left_alone(world: World) -> None:
    """No image, no blob, nobody else asked, no file anywhere else."""
    assert world.store.images() == []
    assert world.blobs() == []
    assert world.other.seen == []
    folders = {path.name for path in world.store.root.iterdir() if path.is_dir()}
    assert folders == {"blobs", "layers", "tmp", "locks", "leases", "ingest"}
    parts = [path.name for path in (world.store.root / "ingest").iterdir()]
    assert all(len(name) == 64 + len(".part") for name in parts)


def test_there_are_enough_of_them() -> None:
    assert len({hostile.name for hostile in HOSTILE}) == len(HOSTILE) >= 60


def test_an_endless_trailer_is_not_listened_to(world: World) -> None:
    head = CHUNKED + b"%x\r\n" % len(DATA) + DATA + b"\r\n0\r\n"
    world.registry.image([DATA])
    world.registry.on("GET", LAYER_PATH, endless(head, b"a: b\r\n" * 999))
    assert world.pull().image.layers[0].size == len(DATA)


def test_other_bytes_than_were_asked_for_by_digest(world: World) -> None:
    """By a name, and by an index that was itself good."""
    entry = world.registry.image([DATA], name="good")
    asked = "sha256:" + "0" * 64
    world.registry.manifests[asked] = world.registry.manifests["good"]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry | {"digest": asked}]}
    world.registry.manifest("1", index)
    for tag in (asked, "1"):
        with pytest.raises(BadAnswer, match=f"the bytes have digest {entry['digest']}"):
            world.pull(tag)
        left_alone(world)


# Parts


@pytest.mark.parametrize(
    "part",
    ["bytes 0-9/10", "bytes 1001-249999/250000", "bytes 1000-249999/9", "", "bytes */250000"],
)
def test_another_part_than_was_asked_for(world: World, part: str) -> None:
    world.registry.image([DATA])
    ingest = world.store.root / "ingest" / f"{digest(DATA)[7:]}.part"
    ingest.parent.mkdir()
    ingest.write_bytes(DATA[:1000])
    world.registry.on("GET", LAYER_PATH, reply(206, DATA[1000:], Content_Range=part))
    with pytest.raises(BadAnswer, match="from 1000 on"):
        world.pull()
    left_alone(world)


# Credentials that must not leave


def test_another_host_gets_no_credentials(world: World) -> None:
    world.registry.auth = "basic"
    world.login(username="u", password="p")
    world.registry.image([DATA])
    world.other.on("GET", "", reply(401, WWW_Authenticate='Basic realm="give"'))

    def action(handler: Handler) -> None:
        assert handler.headers["Authorization"] == "Basic dTpw"
        handler.reply(307, Location=f"http://{world.other.host}/blob")

    world.registry.on("GET", LAYER_PATH, action)
    with pytest.raises(Denied, match="which asks for credentials; they are only for"):
        world.pull()
    assert [seen.path for seen in world.other.seen] == ["/blob"]
    assert "authorization" not in world.other.seen[0].headers


def test_another_host_may_have_the_blob(world: World) -> None:
    world.registry.auth = "token"
    world.registry.image([DATA])
    world.other.on("GET", "", reply(200, DATA))
    action = reply(307, Location=f"http://{world.other.host}/blob?signed=1")
    world.registry.on("GET", LAYER_PATH, action)
    world.pull()
    assert ["authorization" in seen.headers for seen in world.other.seen] == [False]


def test_the_addresses_of_foreign_layers_are_not_asked(world: World) -> None:
    layer(
        mediaType="application/vnd.oci.image.layer.nondistributable.v1.tar",
        urls=[f"http://{world.other.host}/layer"],
    )(world)
    with pytest.raises(BadImage, match="cannot be used"):
        world.pull()
    left_alone(world)


# Time


def one_by_one(head: bytes, again: bytes) -> Callable[[Handler], None]:
    """Byte by byte, as packets of their own."""

    def action(handler: Handler) -> None:
        handler.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handler.endless(head, again)

    return action


@pytest.mark.parametrize(
    ("path", "head"),
    [
        ("manifests/", OK),
        ("manifests/", declared(1 << 20)),
        ("manifests/", b""),
        (LAYER_PATH, OK),
        (LAYER_PATH, declared(len(DATA))),
    ],
)
def test_slow_dripping_is_given_up(world: World, path: str, head: bytes) -> None:
    world.clock.step = 20.0  # each look at the clock is that much later
    again = b"HTTP/1.1 100 Continue\r\n\r\n" if not head else b"x"
    world.registry.image([DATA])
    world.registry.on("GET", path, one_by_one(head, again))
    with pytest.raises(Unreachable, match=r"too slow|no whole answer in 60 s"):
        world.pull()
    left_alone(world)


@pytest.mark.parametrize("path", ["manifests/", LAYER_PATH])
def test_silence_is_given_up(world: World, path: str) -> None:
    world.session = replace(world.session, patience=Patience(silence_s=0.05))
    ends: list[Handler] = []

    def action(handler: Handler) -> None:
        ends.append(handler)
        handler.rfile.read(1)  # until the other side hangs up

    world.registry.image([DATA])
    world.registry.on("GET", path, action)
    with pytest.raises(Unreachable, match="no answer in time"):
        world.pull()
    assert len(ends) == 5
    left_alone(world)


def test_who_takes_the_call_and_is_silent_is_given_up(world: World) -> None:
    patience = Patience(connect_s=0.1, silence_s=0.1)
    world.session = replace(world.session, patience=patience)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        name = f"127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(Unreachable, match="no answer in time"):
            pull(world.store, name, world.session)
