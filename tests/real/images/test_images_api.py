"""Images through the API: what is in them, page by page, and work on them as it goes."""

import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.images.store import ImageStore
from engine.kubelet.images import NodeImages
from engine.store.store import Store
from engine.types.pods import Pod
from tests.real.images.layouts import Layout
from tests.real.images.registry.server import docker_registry
from tests.real.images.tars import file, folder, tar, whiteout
from tests.unit.api.world import POD, World, pod

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the image store belongs to root")

BASE = tar(
    folder("etc"), file("etc/a", b"a" * 10), file("etc/b\udcfe", b"b"), file("big", b"x" * 99)
)
NEXT = tar(file("etc/a", b"A" * 20), whiteout("big"))
IMAGES = "/podarium/v1/images"


@dataclass
class Door:
    images: NodeImages


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    layout = Layout(tmp_path / "layout")
    layout.image([BASE, NEXT], name="host.io:5000/team/tree:1")
    layout.image([BASE], name="base:1")
    store = ImageStore(tmp_path / "images")
    store.load(layout.write())
    upper = tmp_path / "upper"
    (upper / "etc").mkdir(parents=True)
    (upper / "etc/new").write_text("new")

    def where(pod: Pod, container: str) -> tuple[Path, str]:
        return upper, "base:1"

    world = World(Store())
    await world.api.bootstrap()
    world.api.gateway = Door(NodeImages(store, tmp_path, where))
    yield world
    await world.api.close()
    store.close()


TREE = f"{IMAGES}/host.io:5000/team/tree:1"


async def events(world: World, method: str, path: str, **query: str) -> list[dict[str, Any]]:
    response = await world.send(method, path, **query)
    assert response.status == 200, response.body
    assert not isinstance(response.body, bytes)
    return [json.loads(line) async for line in response.body]


async def test_what_is_in_an_image(world: World) -> None:
    layers = await world.ask("GET", f"{TREE}/layers")
    assert [layer["sharedWith"] for layer in layers["layers"]] == [["base:1"], []]
    page = await world.ask("GET", f"{TREE}/tree", path="/etc", since="1", layer="2")
    assert [(row["path"], row["mark"]) for row in page["rows"]] == [
        ("/etc/a", "changed"),
        ("/etc/b\\xfe", "same"),
    ]
    second = await world.ask("GET", f"{TREE}/tree", path="/etc", offset="1", limit="1", sort="size")
    assert ([row["size"] for row in second["rows"]], second["total"]) == ([1], 2)
    changed = await world.ask("GET", f"{TREE}/tree", changed="true", since="1")
    assert [row["path"] for row in changed["rows"]] == ["/big", "/etc/a"]
    wasted = await world.ask("GET", f"{TREE}/waste")
    assert [path["hidden"] for path in wasted["paths"]] == [99, 10]
    which = await world.ask("GET", f"{TREE}/which", path="/etc/b\\xfe")
    assert [word["number"] for word in which["words"]] == [1]
    different = await world.ask("GET", f"{IMAGES}/base:1/diff", to="host.io:5000/team/tree:1")
    assert (different["changed"], different["removed"]) == (1, 1)
    raw = await world.send("GET", f"{TREE}/file", path="/etc/a", offset="18", limit="9")
    assert (raw.body, raw.content_type) == (b"AA", "application/octet-stream")
    old = await world.send("GET", f"{TREE}/file", path="/etc/a", layer="1", limit="3")
    assert old.body == b"aaa"


async def test_a_container_is_compared_with_an_image(world: World) -> None:
    await world.ask("POST", POD, pod(nodeName="n1"))
    told = await world.ask("GET", f"{IMAGES}/base:1/diff", pod="p")
    assert (told["now"], told["added"], told["grown"]) == ("pod/p/c", 1, 3)
    assert (await world.refused("GET", f"{IMAGES}/base:1/diff", pod="nobody"))["code"] == 404


async def test_what_is_not_there_or_not_meant_is_refused(world: World) -> None:
    for code, verb, query in (
        (404, "none:1/layers", {}),
        (404, "base:1/file", {"path": "/none"}),
        (404, "base:1/tree", {"path": "/big"}),
        (404, "base:1/whatever", {}),
        (400, "base:1/file", {}),
        (400, "base:1/tree", {"layer": "2"}),
        (400, "base:1/tree", {"layer": "0"}),
        (400, "base:1/tree", {"sort": "colour"}),
        (400, "base:1/diff", {}),
        (400, "UPPER:1/layers", {}),
    ):
        assert (await world.refused("GET", f"{IMAGES}/{verb}", **query))["code"] == code, verb
    assert (await world.refused("POST", f"{IMAGES}/base:1/layers"))["code"] == 405
    assert (await world.refused("GET", f"{IMAGES}/base:1/pull"))["code"] == 405
    assert (await world.refused("DELETE", f"{IMAGES}/none:1"))["code"] == 404


async def test_work_is_told_as_it_goes(world: World, tmp_path: Path) -> None:
    with docker_registry(tmp_path / "registry") as server:
        name = f"{server.host}/team/tree:1"
        pushed = await events(world, "POST", f"{TREE}/push", to=name)
        assert (pushed[0]["event"], pushed[-1]["event"]) == ("resolved", "done")
        (removed,) = await events(world, "DELETE", TREE)
        assert removed["removedBlobs"] > 0
        pulled = await events(world, "POST", f"{IMAGES}/{name}/pull")
    kinds = [event["event"] for event in pulled]
    assert (kinds[0], kinds[-1]) == ("resolved", "done")
    assert {event["blob"]["state"] for event in pulled if event["event"] == "blob"} >= {"done"}
    assert pulled[-1]["digest"] == pushed[-1]["digest"]
    (pruned,) = await events(world, "POST", f"{IMAGES}/prune")
    assert (pruned["event"], pruned.get("removedBlobs", 0)) == ("done", 0)
    assert (await world.refused("POST", f"{IMAGES}/{server.host}/gone:1/pull"))["code"] == 400
