"""Pulling: what is missing travels, once, and is what it should be."""

import json
import threading
from dataclasses import replace

import pytest

from engine.images.errors import BadImage, ImageNotFound
from engine.images.registry.errors import (
    Cancelled,
    Denied,
    LocalOnly,
    NotInRegistry,
    RateLimited,
    Unreachable,
)
from engine.images.registry.network import Network
from engine.images.registry.progress import BlobProgress, Resolved, Retrying, State
from engine.images.registry.pull import pull
from engine.images.registry.stop import Stop
from engine.images.types import Digest, Platform
from tests.unit.images.registry.conftest import World
from tests.unit.images.registry.fake import INDEX, MANIFEST, Handler, digest

ONE, TWO = b"one" * 100_000, b"two" * 200_000


def test_an_image_comes_as_it_is(world: World) -> None:
    entry = world.registry.image([ONE, TWO])
    done = world.pull()
    assert str(done.digest) == str(done.image.digest) == entry["digest"]
    assert done.new
    raw = world.registry.manifests["1"][1]
    assert world.store.blobs.read(done.image.digest, 1 << 20) == raw
    assert [str(layer.digest) for layer in done.image.layers] == [digest(ONE), digest(TWO)]
    assert done.transferred == sum(map(len, world.registry.blobs.values()))
    assert world.store.resolve(world.name()).digest == done.image.digest
    assert list((world.store.root / "ingest").iterdir()) == []


def test_only_what_is_missing_travels(world: World) -> None:
    world.registry.image([ONE])
    world.pull()
    world.registry.image([ONE, TWO], name="2")
    done = world.pull("2")
    assert len(world.registry.asked("GET", f"blobs/{digest(ONE)}")) == 1
    assert len(ONE) not in (done.transferred, 0)
    again = world.pull("2")
    assert (again.transferred, again.new) == (0, False)


def test_a_tag_that_moved_is_followed(world: World) -> None:
    first = world.registry.image([ONE])
    world.pull()
    world.registry.image([TWO])
    done = world.pull()
    assert done.new
    assert str(done.digest) != first["digest"]


def test_one_layer_twice_travels_once(world: World) -> None:
    world.registry.image([ONE, TWO, ONE])
    assert len(world.pull().image.layers) == 3
    assert len(world.registry.asked("GET", f"blobs/{digest(ONE)}")) == 1


def test_every_form_is_accepted(world: World) -> None:
    world.registry.image([ONE])
    world.pull()
    (asked,) = world.registry.asked("GET", "manifests/1")
    for form in ("oci.image.manifest", "oci.image.index", "manifest.list.v2", "manifest.v2"):
        assert form in asked.headers["accept"]


def index(world: World, *platforms: str | None) -> str:
    entries = []
    for number, text in enumerate(platforms):
        entry = world.registry.image([b"%d" % number], name=f"p{number}")
        if text is not None:
            names = ("os", "architecture", "variant")
            entry["platform"] = dict(zip(names, text.split("/"), strict=False))
        entries.append(entry)
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    return str(world.registry.manifest("all", document)["digest"])


def layer(world: World, platform: Platform) -> bytes:
    # The fake's configs say this machine; what is chosen shows in the layer.
    world.pull("all")
    (chosen,) = world.store.resolve(world.name("all")).layers
    return world.registry.blobs[str(chosen.digest)]


def test_an_index_leads_to_this_machines_image(world: World) -> None:
    here = world.registry.image([ONE], name="here")
    machine = json.loads(world.registry.blobs[digest_of_config(world, "here")])["architecture"]
    other = "arm64" if machine != "arm64" else "amd64"
    top = index(
        world, f"linux/{other}", f"windows/{machine}", f"linux/{machine}", "unknown/unknown"
    )
    done = world.pull("all")
    assert str(done.digest) == top
    assert world.registry.blobs[str(done.image.layers[0].digest)] == b"2"
    assert here["digest"] != str(done.image.digest)
    # By the index's digest it is found again, without asking anybody.
    pinned = world.pull(top)
    assert pinned.image.digest == done.image.digest
    assert world.store.resolve(world.name(top)).digest == done.image.digest


def digest_of_config(world: World, tag: str) -> str:
    return str(json.loads(world.registry.manifests[tag][1])["config"]["digest"])


def test_a_platform_that_is_not_there_is_said(world: World) -> None:
    index(world, "linux/s390x", "linux/arm/v6", "unknown/unknown")
    with pytest.raises(BadImage, match=r"only for linux/s390x, linux/arm/v6$"):
        world.pull("all")


def test_an_image_for_another_machine_is_no_answer(world: World) -> None:
    world.registry.image([ONE])
    with pytest.raises(BadImage, match="not for linux/s390x"):
        world.pull(platform=Platform(os="linux", architecture="s390x"))


def test_by_digest_the_bytes_must_be_it(world: World) -> None:
    entry = world.registry.image([ONE])
    done = world.pull(entry["digest"])
    assert str(done.image.digest) == entry["digest"]
    assert world.store.resolve(world.name(entry["digest"])).digest == Digest(entry["digest"])


# Breaks


def cut(at: int):
    """Send a blob's beginning only."""

    def action(handler: Handler) -> None:
        data = handler.registry.blobs[handler.path.rpartition("/")[2]]
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        handler.raw(head, data[:at])

    return action


def test_a_cut_transfer_is_gone_on_with(world: World) -> None:
    world.registry.image([TWO])
    world.registry.on("GET", f"blobs/{digest(TWO)}", cut(100_000), times=1)
    done = world.pull()
    ranges = [s.headers.get("range") for s in world.registry.asked("GET", f"blobs/{digest(TWO)}")]
    assert ranges == [None, "bytes=100000-"]
    assert done.transferred == len(TWO) + len(world.registry.blobs[digest_of_config(world, "1")])
    assert [e for e in world.events if isinstance(e, Retrying)]
    assert world.clock.waits


def test_the_next_pull_goes_on_with_what_came(world: World) -> None:
    world.registry.image([TWO])
    world.registry.on("GET", "blobs/.*", cut(50_000), times=6)
    world.registry.on("GET", f"blobs/{digest(TWO)}", lambda h: h.raw(b""), times=30)
    with pytest.raises(Unreachable):
        world.pull()
    assert world.store.images() == []
    world.registry._rules.clear()
    done = world.pull()
    (resumed,) = {
        e.resumed
        for e in world.events
        if isinstance(e, BlobProgress) and e.state is State.DONE and e.kind == "layer"
    }
    assert resumed >= 50_000
    assert done.transferred == len(TWO) - resumed


def test_a_damaged_part_is_thrown_away(world: World) -> None:
    world.registry.image([TWO])
    part = world.store.root / "ingest" / f"{digest(TWO)[7:]}.part"
    for left in (b"x" * 1000, b"x" * len(TWO), b"x" * (len(TWO) + 1)):
        part.parent.mkdir(exist_ok=True)
        part.write_bytes(left)
        world.pull()
        assert world.store.blobs.read(Digest(digest(TWO)), 1 << 20) == TWO
        world.store.remove(world.name())


@pytest.mark.parametrize("status", [200, 416])
def test_a_registry_without_ranges_sends_all(world: World, status: int) -> None:
    world.registry.image([TWO])
    part = world.store.root / "ingest" / f"{digest(TWO)[7:]}.part"
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(TWO[:1000])

    def action(handler: Handler) -> None:
        handler.reply(status, TWO if status == 200 else b"")

    world.registry.on("GET", f"blobs/{digest(TWO)}", action, times=1)
    world.pull()
    assert world.store.blobs.read(Digest(digest(TWO)), 1 << 20) == TWO


def test_busy_servers_are_asked_again_when_they_say(world: World) -> None:
    world.registry.image([ONE])
    world.registry.on("GET", "manifests/1", lambda h: h.reply(429, Retry_After="7"), times=1)
    world.registry.on("GET", "blobs/", lambda h: h.reply(503, Retry_After="3"), times=1)
    world.registry.on("GET", "blobs/", lambda h: h.reply(502), times=1)
    world.pull()
    assert world.clock.waits[:2] == [7.0, 3.0]
    assert 0.3 < world.clock.waits[2] < 2.0


def test_a_limit_is_said_with_its_numbers(world: World) -> None:
    limit = "100;w=21600"
    world.registry.on(
        "GET", "manifests/", lambda h: h.reply(429, Retry_After="3600", RateLimit_Limit=limit)
    )
    with pytest.raises(RateLimited, match=r"100;w=21600.*3600 s") as limited:
        world.pull()
    assert limited.value.retry_after == 3600
    assert world.clock.waits == []


def test_cancelling_ends_a_transfer_and_keeps_what_came(world: World) -> None:
    world.registry.image([TWO])
    stop, hang = Stop(), threading.Event()

    def action(handler: Handler) -> None:
        handler.raw(f"HTTP/1.1 200 OK\r\nContent-Length: {len(TWO)}\r\n\r\n".encode(), TWO[:1000])
        handler.wfile.flush()
        hang.wait(30)

    def watch(event: object) -> None:
        if isinstance(event, BlobProgress) and event.done and event.kind == "layer":
            stop.cancel()

    world.clock.step = 0.2  # so that the first bytes are told
    world.registry.on("GET", f"blobs/{digest(TWO)}", action)
    session = replace(world.session, stop=stop, watch=watch)
    with pytest.raises(Cancelled):
        pull(world.store, world.name(), session)
    hang.set()
    part = world.store.root / "ingest" / f"{digest(TWO)[7:]}.part"
    assert part.read_bytes() == TWO[:1000]
    assert world.store.images() == []


def test_a_collection_in_the_middle_loses_nothing(world: World) -> None:
    world.registry.image([ONE])
    world.pull()
    world.registry.image([ONE, TWO], name="2")

    def action(handler: Handler) -> None:
        world.store.remove(world.name())  # which does not wait for us
        handler.reply(200, TWO)

    world.registry.on("GET", f"blobs/{digest(TWO)}", action, times=1)
    assert len(world.pull("2").image.layers) == 2
    assert world.store.blobs.read(Digest(digest(ONE)), 1 << 20) == ONE


# Words


def test_what_is_not_there_is_said_in_the_registrys_words(world: World) -> None:
    with pytest.raises(NotInRegistry, match=r"has no image x:1 .MANIFEST_UNKNOWN: no such tag"):
        world.pull()


def test_words_are_data(world: World) -> None:
    evil = b'{"errors":[{"code":"DENIED","message":"\\u001b[31mred\\u202e\\n' + b"x" * 999 + b'"}]}'
    world.registry.on("GET", "manifests/", lambda h: h.reply(403, evil))
    with pytest.raises(Denied) as denied:
        world.pull()
    assert str(denied.value).isprintable()
    assert len(str(denied.value)) < 500


def test_the_host_image_is_never_asked_for(world: World) -> None:
    for name in ("podarium/host", "docker.io/podarium/host:other"):
        with pytest.raises(LocalOnly, match="no registry has it"):
            pull(world.store, name, world.session)


def test_nobody_there_is_said_at_once(world: World) -> None:
    with pytest.raises(Unreachable, match="Connection refused"):
        pull(world.store, "127.0.0.1:1/x", world.session)
    with pytest.raises(Unreachable, match="no address is known"):
        pull(world.store, "nobody.invalid/x", world.session)
    assert world.clock.waits == []
    with pytest.raises(ImageNotFound):
        world.store.resolve("127.0.0.1:1/x")


def test_mirrors_are_asked_first(world: World) -> None:
    world.other.image([ONE])
    settings = f"""
        [registry."{world.registry.host}"]
        mirrors = ["http://127.0.0.1:1", "http://{world.other.host}"]
    """
    path = world.store.root.parent / "registries.toml"
    path.write_text(settings)
    world.session = replace(world.session, network=Network.read(path.parent))
    assert world.pull().image.reference == world.name()
    assert not world.registry.seen
    world.registry.image([TWO], name="2")
    assert world.pull("2").image.layers[0].size == len(TWO)


def test_progress_is_told(world: World) -> None:
    world.registry.image([TWO])
    world.clock.step = 0.05
    world.pull()
    resolved = next(e for e in world.events if isinstance(e, Resolved))
    assert resolved.reference == world.name()
    assert {blob.kind for blob in resolved.blobs} == {"config", "layer"}
    steps = [e for e in world.events if isinstance(e, BlobProgress) and e.kind == "layer"]
    assert [e.done for e in steps] == sorted(e.done for e in steps)
    assert (steps[0].state, steps[-1].state) == (State.ACTIVE, State.DONE)
    assert steps[-1].done == steps[-1].size == len(TWO)
    assert any(e.rate > 0 and e.remaining is not None for e in steps)
    assert MANIFEST in world.registry.manifests["1"][0]
