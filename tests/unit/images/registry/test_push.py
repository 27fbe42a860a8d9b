"""Pushing: what the registry lacks travels, and the name comes last."""

import pytest

from engine.images.errors import BadReference, ImageNotFound
from engine.images.registry import client
from engine.images.registry.errors import BadAnswer, Denied, LocalOnly, Unreachable
from engine.images.registry.progress import BlobProgress, State
from engine.images.types import Digest
from tests.real.images.layouts import Layout
from tests.unit.images.registry.conftest import World
from tests.unit.images.registry.fake import Handler, digest

ONE, TWO = b"one" * 1000, b"two" * 100_000


def load(world: World, *layers: bytes, name: str = "test/image:1", **fields: object) -> Digest:
    """An image in the store."""
    layout = Layout(world.store.root.parent / f"layout{len(world.store.references())}")
    layout.image(layers, name=name, **fields)
    (image,) = world.store.load(layout.write())
    return image.digest


def test_what_is_missing_travels_and_the_name_comes_last(world: World) -> None:
    pushed = load(world, ONE, TWO)
    world.registry.blobs[digest(ONE)] = ONE
    done = world.push("test/image:1", world.name("9"))
    assert (done.digest, done.reference) == (pushed, world.name("9"))
    raw = world.store.blobs.read(pushed, 1 << 20)
    assert world.registry.manifests["9"] == ("application/vnd.oci.image.manifest.v1+json", raw)
    assert world.registry.blobs[digest(TWO)] == TWO
    assert not world.registry.asked("PUT", digest(ONE))
    assert world.registry.seen[-1].path.endswith("/manifests/9")
    assert done.transferred == len(TWO) + world.store.blobs.size(
        world.store.resolve("test/image:1").config_digest
    )


def test_again_nothing_travels(world: World) -> None:
    load(world, ONE)
    world.push("test/image:1", world.name())
    assert world.push("test/image:1", world.name("2")).transferred == 0


def test_what_is_pushed_can_be_pulled(world: World) -> None:
    pushed = load(world, ONE, TWO)
    world.push("test/image:1", world.name())
    assert world.pull().image.digest == pushed
    assert world.push(world.name()).digest == pushed  # under its own name


def test_blobs_of_another_repository_are_mounted(world: World) -> None:
    load(world, ONE)
    world.push("test/image:1", world.name(path="a"))
    world.store.add(world.name(path="a"), world.store.resolve("test/image:1").digest)
    world.registry.on("HEAD", "/v2/b/blobs/", lambda h: h.reply(404))
    done = world.push("test/image:1", world.name(path="b"))
    assert done.transferred == 0
    (mount,) = [s for s in world.registry.asked("POST", "/v2/b/") if digest(ONE)[7:] in s.path]
    assert mount.path.endswith("&from=a")


def test_a_mount_that_is_not_allowed_becomes_an_upload(world: World) -> None:
    load(world, ONE)
    world.store.add(world.name(path="a"), world.store.resolve("test/image:1").digest)
    world.registry.on("POST", "mount=", lambda h: h.reply(403))
    world.push("test/image:1", world.name(path="b"))
    assert world.registry.blobs[digest(ONE)] == ONE


# Parts


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PART", 100_000)


def layer_events(world: World) -> list[BlobProgress]:
    return [e for e in world.events if isinstance(e, BlobProgress) and e.size == len(TWO)]


@pytest.mark.usefixtures("parts")
def test_large_blobs_go_in_parts(world: World) -> None:
    load(world, TWO)
    world.push("test/image:1", world.name())
    sent = world.registry.asked("PATCH", "")
    assert [s.headers["content-range"] for s in sent] == [
        "0-99999",
        "100000-199999",
        "200000-299999",
    ]
    assert [s.path.rpartition("?")[2] for s in sent] == ["state=a%2Fb", "state=next", "state=next"]
    assert world.registry.blobs[digest(TWO)] == TWO
    assert layer_events(world)[-1].state is State.DONE


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("arrived", [0, 40_000, 100_000])
def test_a_part_that_was_cut_is_gone_on_with(world: World, arrived: int) -> None:
    load(world, TWO)

    def action(handler: Handler) -> None:
        name = handler.path.partition("?")[0].rpartition("/")[2]
        world.registry.uploads[name] += handler.body[:arrived]
        handler.raw(b"")

    world.registry.on("PATCH", "", action, times=1)
    world.push("test/image:1", world.name())
    assert world.registry.blobs[digest(TWO)] == TWO
    there = [s.headers["content-range"] for s in world.registry.asked("PATCH", "")]
    assert there[1].startswith(f"{arrived}-")


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("told", ["0-299999", "5-9", "", "0-x"])
def test_a_registry_that_lost_count_is_not_trusted(world: World, told: str) -> None:
    load(world, TWO)
    world.registry.on("PATCH", "", lambda h: h.raw(b""), times=2)
    world.registry.on("GET", "uploads/", lambda h: h.reply(204, Range=told))
    if told == "0-299999":
        with pytest.raises(BadAnswer, match="has 300000 bytes"):
            world.push("test/image:1", world.name())
    else:
        world.push("test/image:1", world.name())
        assert world.registry.blobs[digest(TWO)] == TWO
    assert (told == "0-299999") == ("1" not in world.registry.manifests)


# Refusals


def test_a_cut_upload_is_begun_again(world: World) -> None:
    load(world, ONE)
    world.registry.on("PUT", "uploads/", lambda h: h.raw(b""), times=2)
    world.registry.on("POST", "uploads/", lambda h: h.reply(503), times=1)
    world.push("test/image:1", world.name())
    assert world.registry.blobs[digest(ONE)] == ONE


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("HEAD", "blobs/", 403, Denied),
        ("POST", "uploads/", 403, Denied),
        ("POST", "uploads/", 200, BadAnswer),
        ("PUT", "uploads/", 413, BadAnswer),
        ("PUT", "uploads/", 507, Unreachable),
        ("PUT", "manifests/", 400, BadAnswer),
    ],
)
def test_a_refusal_leaves_no_name(
    world: World, method: str, path: str, status: int, error: type[Exception]
) -> None:
    load(world, ONE)
    body = b'{"errors":[{"code":"DENIED","message":"quota"}]}'
    world.registry.on(method, path, lambda h: h.reply(status, body))
    with pytest.raises(error, match="quota" if method != "HEAD" else "denies"):
        world.push("test/image:1", world.name())
    assert world.registry.manifests == {}


@pytest.mark.parametrize("place", ["", "ftp://h/", "http://u@h/"])
def test_a_place_that_is_none(world: World, place: str) -> None:
    load(world, ONE)
    world.registry.on("POST", "", lambda h: h.reply(202, Location=place))
    with pytest.raises((BadAnswer, Unreachable)):
        world.push("test/image:1", world.name())
    assert world.registry.manifests == {}


def test_a_place_elsewhere_gets_no_credentials(world: World) -> None:
    world.registry.auth = "basic"
    world.login(username="u", password="p")
    load(world, ONE)
    place = f"http://{world.other.host}/v2/x/blobs/uploads/u0"
    world.registry.on("POST", "", lambda h: h.reply(202, Location=place))
    world.other.on("PUT", "", lambda h: h.reply(401, WWW_Authenticate='Basic realm="give"'))
    with pytest.raises(Denied, match="they are only for the registry itself"):
        world.push("test/image:1", world.name())
    assert all("authorization" not in seen.headers for seen in world.other.seen)


def test_a_registry_that_stores_something_else(world: World) -> None:
    load(world, ONE)
    other = "sha256:" + "0" * 64
    world.registry.on("PUT", "manifests/", lambda h: h.reply(201, Docker_Content_Digest=other))
    with pytest.raises(BadAnswer, match="stored sha256:0000"):
        world.push("test/image:1", world.name())


def test_images_of_this_machine_stay(world: World) -> None:
    load(world, ONE, config={"Labels": {"io.podarium.host": "true"}})
    with pytest.raises(LocalOnly, match="licences"):
        world.push("test/image:1", world.name())
    load(world, TWO, name="test/other:1")
    with pytest.raises(LocalOnly):
        world.push("test/other:1", "podarium/host:1")
    assert not world.registry.seen


def test_names_that_cannot_be_pushed(world: World) -> None:
    load(world, ONE)
    with pytest.raises(BadReference, match="under a tag"):
        world.push("test/image:1", world.name("sha256:" + "1" * 64))
    with pytest.raises(ImageNotFound):
        world.push("gone:1", world.name())
