"""Watches: nothing missed, nothing twice, nothing that is not theirs."""

import asyncio
import json

import pytest

from engine.api import watch as hub
from engine.store.store import Store
from tests.unit.api.world import POD, World, pod

MERGE = "application/merge-patch+json"


async def relabel(world: World, name: str, label: str) -> None:
    patch = {"metadata": {"labels": {"app": label}}}
    await world.ask("PATCH", f"{POD}/{name}", patch, content_type=MERGE)


async def test_from_a_list_on(world: World) -> None:
    await world.ask("POST", POD, pod("before"))
    revision = (await world.ask("GET", POD))["metadata"]["resourceVersion"]
    await world.ask("POST", POD, pod("between"))
    watch = await world.watch(POD, resourceVersion=revision)
    await world.ask("POST", POD, pod("after"))
    await relabel(world, "after", "x")
    await world.ask("DELETE", f"{POD}/before")
    assert await watch.names(4) == [
        ("ADDED", "between"),
        ("ADDED", "after"),
        ("MODIFIED", "after"),
        ("DELETED", "before"),
    ]


@pytest.mark.parametrize("query", [{}, {"resourceVersion": "0"}])
async def test_from_nothing_begins_with_what_is_there(world: World, query: dict[str, str]) -> None:
    await world.ask("POST", POD, pod("a"))
    await relabel(world, "a", "x")
    watch = await world.watch(POD, **query)
    await world.ask("POST", POD, pod("b"))
    assert await watch.names(2) == [("ADDED", "a"), ("ADDED", "b")]


async def test_deleted_objects_carry_the_revision_of_their_end(world: World) -> None:
    made = await world.ask("POST", POD, pod("a"))
    watch = await world.watch(POD, resourceVersion=made["metadata"]["resourceVersion"])
    await world.ask("DELETE", f"{POD}/a")
    kind, obj = await watch.next()
    assert kind == "DELETED"
    assert obj["metadata"]["resourceVersion"] == str(world.store.revision)


async def test_entering_and_leaving_a_selection(world: World) -> None:
    watch = await world.watch(POD, labelSelector="app=blue")
    await world.ask("POST", POD, pod("a"))
    await relabel(world, "a", "blue")
    await relabel(world, "a", "red")
    await relabel(world, "a", "blue")
    await world.ask("DELETE", f"{POD}/a")
    assert await watch.names(4) == [
        ("ADDED", "a"),
        ("DELETED", "a"),
        ("ADDED", "a"),
        ("DELETED", "a"),
    ]


async def test_by_node_and_by_name_and_by_namespace(world: World) -> None:
    by_node = await world.watch("/api/v1/pods", fieldSelector="spec.nodeName=n1")
    by_name = await world.watch(f"{POD}/b")
    elsewhere = await world.watch("/api/v1/namespaces/kube-system/pods")
    await world.ask("POST", POD, pod("a", nodeName="n1"))
    await world.ask("POST", POD, pod("b"))
    await world.ask("POST", "/api/v1/namespaces/kube-system/pods", pod("c"))
    assert await by_node.names(1) == [("ADDED", "a")]
    assert await by_name.names(1) == [("ADDED", "b")]
    assert await elsewhere.names(1) == [("ADDED", "c")]


async def test_initial_events_end_with_the_annotated_bookmark(world: World) -> None:
    await world.ask("POST", POD, pod("a"))
    watch = await world.watch(
        POD,
        sendInitialEvents="true",
        allowWatchBookmarks="true",
        resourceVersionMatch="NotOlderThan",
    )
    assert await watch.names(1) == [("ADDED", "a")]
    kind, obj = await watch.next()
    assert kind == "BOOKMARK"
    assert obj["kind"] == "Pod"
    assert obj["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert obj["metadata"]["resourceVersion"] == str(world.store.revision)
    status = await world.refused("GET", POD, watch="1", sendInitialEvents="true")
    assert "resourceVersionMatch" in status["message"]


async def test_bookmarks_come_when_nothing_else_does(world: World, monkeypatch) -> None:
    monkeypatch.setattr(hub, "BOOKMARK", 0.01)
    with_bookmarks = await world.watch(POD, allowWatchBookmarks="true")
    kind, obj = await with_bookmarks.next()
    assert (kind, obj["metadata"]) == ("BOOKMARK", {"resourceVersion": str(world.store.revision)})


async def test_timeout_ends_the_watch_after_what_has_happened(world: World) -> None:
    watch = await world.watch(POD, timeoutSeconds="0", allowWatchBookmarks="true")
    await world.ask("POST", POD, pod("a"))
    assert [kind for kind, _ in await watch.rest()] == ["ADDED", "BOOKMARK"]


async def test_too_old_a_revision_is_told_inside_the_watch() -> None:
    world = World(Store(log_changes=8))
    await world.api.bootstrap()
    for number in range(20):
        await world.ask("POST", POD, pod(f"p{number}"))
    watch = await world.watch(POD, resourceVersion="1")
    kind, status = await watch.next()
    assert kind == "ERROR"
    assert (status["code"], status["reason"]) == (410, "Expired")
    status = await world.refused("GET", POD, resourceVersion="1", resourceVersionMatch="Exact")
    assert (status["code"], status["reason"]) == (410, "Expired")
    status = await world.refused("GET", POD, watch="true", resourceVersion="99999")
    assert status["code"] == 504
    await world.api.close()


async def test_a_table_per_event(world: World) -> None:
    response = await world.send(
        "GET", POD, watch="1", accept="application/json;as=Table;v=v1;g=meta.k8s.io"
    )
    await world.ask("POST", POD, pod("a"))
    event = json.loads(await anext(response.body))
    assert event["object"]["kind"] == "Table"
    assert event["object"]["rows"][0]["cells"][0] == "a"


async def test_equal_watches_share_their_bytes(world: World) -> None:
    streams = [
        (await world.send("GET", POD, watch="1", labelSelector="app=a")).body for _ in range(3)
    ]
    await world.ask("POST", POD, pod("a"))
    chunks = [await anext(stream) for stream in streams]
    assert chunks[0] is chunks[1] is chunks[2]
    groups = [group for groups in world.api.hub._groups.values() for group in groups.values()]
    assert len(groups) == 1
    for stream in streams:
        await stream.aclose()
    assert not any(world.api.hub._groups.values())


async def test_a_watcher_that_does_not_keep_up_is_ended() -> None:
    store = Store()
    world = World(store)
    world.api.hub._buffer = 4000
    await world.api.bootstrap()
    slow = await world.watch(POD)
    fast = await world.watch(POD)
    seen = []
    for number in range(20):
        await world.ask("POST", POD, pod(f"p{number}"))
        seen += await fast.names(1)
    assert [name for _, name in seen] == [f"p{number}" for number in range(20)]
    assert len(await slow.rest()) < 20
    await world.api.close()


async def test_closing_the_api_ends_every_watch(world: World) -> None:
    watch = await world.watch(POD)
    reading = asyncio.ensure_future(watch.rest())
    await asyncio.sleep(0)
    await world.api.close()
    assert await reading == []


async def test_a_watch_joined_in_the_middle_of_a_flush_sees_all_once(world: World) -> None:
    first = await world.watch(POD)
    await world.ask("POST", POD, pod("a"))  # pending in the group, not flushed yet
    second = await world.watch(POD)
    await world.ask("POST", POD, pod("b"))
    expected = [("ADDED", "a"), ("ADDED", "b")]
    assert await first.names(2) == expected
    assert await second.names(2) == expected
