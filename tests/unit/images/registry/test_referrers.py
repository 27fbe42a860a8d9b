"""What is about an image, and what is left of a limit."""

import json
from typing import Any

import pytest

from engine.images.errors import BadImage
from engine.images.registry.errors import BadAnswer
from engine.images.registry.progress import Resolved
from engine.images.registry.referrers import referrers
from tests.unit.images.registry.conftest import World
from tests.unit.images.registry.fake import INDEX, MANIFEST, Handler, digest


def about(n: int) -> dict[str, Any]:
    raw = b"%d" % n
    return {
        "mediaType": MANIFEST, "digest": digest(raw), "size": len(raw),
        "artifactType": f"application/vnd.test.{n}",
    }  # fmt: skip


def index(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()


def found(world: World) -> list[str]:
    return [each.artifact_type[21:] for each in referrers(world.name(), world.session)[1]]


def test_all_pages_are_read(world: World) -> None:
    image = world.registry.image([b"x"])

    def page(handler: Handler) -> None:
        assert image["digest"] in handler.path
        if "page=2" in handler.path:
            handler.reply(200, index(about(3)), Content_Type=INDEX)
        else:
            there = f'<{handler.path}?page=2>; rel="next"'
            handler.reply(200, index(about(1), about(2)), Content_Type=INDEX, Link=there)

    world.registry.on("GET", "/referrers/", page)
    assert found(world) == ["1", "2", "3"]


def test_an_older_registry_has_them_under_a_tag(world: World) -> None:
    image = world.registry.image([b"x"])
    assert found(world) == []
    tag = image["digest"].replace(":", "-")
    world.registry.manifest(tag, json.loads(index(about(7))))
    assert found(world) == ["7"]


@pytest.mark.parametrize(
    ("body", "link", "error"),
    [
        (b"{", "", BadImage),
        (index() + b" " * (5 << 20), "", BadAnswer),
        (index(), '</v2/x/referrers/more>; rel="next"', BadAnswer),
        (index(), '<http://127.0.0.1:1/v2/>; rel="next"', BadAnswer),
    ],
    ids=["no index", "too long", "without an end", "elsewhere"],
)
def test_what_is_wrong_is_refused(
    world: World, body: bytes, link: str, error: type[Exception]
) -> None:
    world.registry.image([b"x"])
    more = {"Link": link} if link else {}
    world.registry.on("GET", "/referrers/", lambda handler: handler.reply(200, body, **more))
    with pytest.raises(error):
        found(world)


@pytest.mark.parametrize(
    ("limit", "left", "told"),
    [
        ("100;w=21600", "97;w=21600", "97 of 100 pulls in 6 h left"),
        ("100", "0", "0 of 100 pulls left"),
        ("100;w=x", "9", "9 of 100 pulls left"),
        ("", "9", ""),
        ("many", "9", ""),
    ],
)
def test_what_is_left_of_a_limit_is_told(world: World, limit: str, left: str, told: str) -> None:
    world.registry.image([b"x"])
    kind, raw = world.registry.manifests["1"]
    more = {"RateLimit_Limit": limit, "RateLimit_Remaining": left, "Content_Type": kind}
    world.registry.on("GET", "manifests/1$", lambda handler: handler.reply(200, raw, **more))
    world.pull()
    (resolved,) = (event for event in world.events if isinstance(event, Resolved))
    assert resolved.allowance == told
