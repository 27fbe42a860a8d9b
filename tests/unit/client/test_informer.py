"""An informer's copy is the server's state, whatever happens to the connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engine.client.client import Client
from engine.client.errors import Unreachable
from engine.client.informer import Informer, key_of
from engine.types.core import Node, Pod
from engine.types.status import Gone
from tests.unit.client.fake import FakeServer

A, B = "/api/v1/namespaces/d/pods/a", "/api/v1/namespaces/d/pods/b"

Change = tuple[str | None, str | None]


class Watcher:
    """Collects what a handler is told, as (old version, new version)."""

    def __init__(self) -> None:
        self.changes: asyncio.Queue[Change] = asyncio.Queue()

    def __call__(self, old: Pod | None, new: Pod | None) -> None:
        self.changes.put_nowait((_version(old), _version(new)))

    async def next(self) -> Change:
        return await asyncio.wait_for(self.changes.get(), 20)


def _version(pod: Pod | None) -> str | None:
    return pod and f"{pod.metadata.name}{pod.metadata.resource_version}"


@asynccontextmanager
async def informing(
    server: FakeServer, **options: str
) -> AsyncIterator[tuple[Informer[Pod], Watcher]]:
    informer = Informer(Client(server), Pod, **options)
    watcher = Watcher()
    informer.add_handler(watcher)
    task = asyncio.create_task(informer.run())
    try:
        yield informer, watcher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_lists_then_follows() -> None:
    server = FakeServer()
    server.put(A)
    async with informing(server) as (informer, watcher):
        await informer.synced.wait()
        assert list(informer.objects) == ["d/a"]
        assert await watcher.next() == (None, "a1")
        await server.until(lambda: server.watches == 1)
        server.put(B)
        server.put(A)
        server.remove(A)
        assert await watcher.next() == (None, "b2")
        assert await watcher.next() == ("a1", "a3")
        assert await watcher.next() == ("a4", None)
        assert list(informer.objects) == ["d/b"]
        assert informer.state == "live"


async def test_what_changes_between_list_and_watch_is_not_missed() -> None:
    server = FakeServer()
    server.put(A)
    async with informing(server) as (informer, watcher):
        await informer.synced.wait()
        server.put(B)
        assert await watcher.next() == (None, "a1")
        assert await watcher.next() == (None, "b2")


async def test_selectors_and_namespace_are_asked_for() -> None:
    server = FakeServer()
    async with informing(server, namespace="d", labels="app=web", fields="spec.nodeName=n"):
        await server.until(lambda: server.watches == 1)
    (_, path, listed), (_, _, watched) = server.requests
    assert path == "/api/v1/namespaces/d/pods"
    assert listed == {"labelSelector": "app=web", "fieldSelector": "spec.nodeName=n"}
    assert listed.items() <= watched.items()
    assert watched["allowWatchBookmarks"] == "true"
    assert watched["resourceVersion"] == "0"
    assert 300 <= int(watched["timeoutSeconds"]) <= 600


async def test_resumes_where_it_was_when_the_connection_breaks() -> None:
    server = FakeServer()
    server.put(A)
    async with informing(server) as (informer, watcher):
        await server.until(lambda: server.watches == 1)
        assert await watcher.next() == (None, "a1")
        server.down = True
        server.cut()
        await server.until(lambda: server.refused >= 2)
        assert informer.state == "stale"
        assert isinstance(informer.error, Unreachable)
        assert list(informer.objects) == ["d/a"]
        server.put(B)
        server.down = False
        assert await watcher.next() == (None, "b2")
        assert informer.state == "live"
        assert informer.error is None
        lists = [query for _, _, query in server.requests if "watch" not in query]
        assert len(lists) == 1


async def test_lists_again_when_its_version_is_gone() -> None:
    server = FakeServer()
    server.put(A)
    server.put(B)
    async with informing(server) as (informer, watcher):
        await server.until(lambda: server.watches == 1)
        assert [await watcher.next(), await watcher.next()] == [(None, "a1"), (None, "b2")]
        server.down = True
        server.cut()
        await server.until(lambda: server.refused >= 1)
        server.remove(A)
        server.put(B)
        server.compact()
        server.down = False
        assert await watcher.next() == ("a1", None)
        assert await watcher.next() == ("b2", "b4")
        await server.until(lambda: server.watches == 2)
        assert list(informer.objects) == ["d/b"]


async def test_an_object_made_anew_is_another_object() -> None:
    server = FakeServer()
    server.put(A)
    async with informing(server) as (_, watcher):
        await server.until(lambda: server.watches == 1)
        assert await watcher.next() == (None, "a1")
        server.down = True
        server.cut()
        await server.until(lambda: server.refused >= 1)
        server.remove(A)
        server.put(A)
        server.compact()
        server.down = False
        assert await watcher.next() == ("a1", None)
        assert await watcher.next() == (None, "a3")


async def test_an_error_in_the_stream_lists_again() -> None:
    server = FakeServer()
    async with informing(server):
        await server.until(lambda: server.watches == 1)
        server.send({"type": "ERROR", "object": Gone(1, 2).to_status()})
        await server.until(lambda: server.watches == 2)
        lists = [query for _, _, query in server.requests if "watch" not in query]
        assert len(lists) == 2


async def test_a_bookmark_moves_the_version_and_tells_nobody() -> None:
    server = FakeServer()
    async with informing(server) as (informer, watcher):
        await server.until(lambda: server.watches == 1)
        bookmark = {"kind": "Pod", "metadata": {"resourceVersion": "77"}}
        server.send({"type": "BOOKMARK", "object": bookmark})
        server.version = 77
        server.put(A)
        assert await watcher.next() == (None, "a78")
        server.cut()
        await server.until(lambda: server.watches == 2)
        assert server.requests[-1][2]["resourceVersion"] == "78"
        assert list(informer.objects) == ["d/a"]


async def test_waits_for_a_server_that_is_not_there_yet() -> None:
    server = FakeServer()
    server.down = True
    server.put(A)
    async with informing(server) as (informer, watcher):
        await server.until(lambda: server.refused >= 2)
        assert informer.state == "connecting"
        assert isinstance(informer.error, Unreachable)
        assert not informer.synced.is_set()
        server.down = False
        assert await watcher.next() == (None, "a1")
        await informer.synced.wait()


async def test_a_handler_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    server = FakeServer()

    def fails(old: Pod | None, new: Pod | None) -> None:
        raise RuntimeError("no")

    informer = Informer(Client(server), Pod)
    informer.add_handler(fails)
    watcher = Watcher()
    informer.add_handler(watcher)
    server.put(A)
    task = asyncio.create_task(informer.run())
    with caplog.at_level(logging.ERROR):
        assert await watcher.next() == (None, "a1")
    task.cancel()
    assert "fails" in caplog.text
    assert "RuntimeError: no" in caplog.text


async def test_a_late_handler_is_told_what_is_known() -> None:
    server = FakeServer()
    server.put(A)
    async with informing(server) as (informer, _):
        await informer.synced.wait()
        late = Watcher()
        informer.add_handler(late)
        assert await late.next() == (None, "a1")


async def test_an_object_that_does_not_fit_is_reported_and_tried_again() -> None:
    server = FakeServer()
    server.put(A, spec={"nodeName": 5})
    async with informing(server) as (informer, watcher):
        await server.until(lambda: len(server.requests) >= 2)
        assert "$.items[0].spec.nodeName" in str(informer.error)
        server.put(A, spec={"nodeName": "n"})
        assert await watcher.next() == (None, "a2")


async def test_index() -> None:
    server = FakeServer()
    server.put(A, spec={"nodeName": "n1"})
    informer = Informer(Client(server), Pod)
    informer.add_index("node", lambda pod: [pod.spec.node_name] if pod.spec.node_name else [])
    watcher = Watcher()
    informer.add_handler(watcher)
    task = asyncio.create_task(informer.run())

    def on(node: str) -> list[str]:
        return [key_of(pod) for pod in informer.by_index("node", node)]

    await watcher.next()
    assert (on("n1"), on("n2")) == (["d/a"], [])
    await server.until(lambda: server.watches == 1)
    server.put(A, spec={"nodeName": "n2"})
    await watcher.next()
    assert (on("n1"), on("n2")) == ([], ["d/a"])
    server.remove(A)
    await watcher.next()
    assert on("n2") == []
    with pytest.raises(KeyError):
        informer.by_index("other", "n2")
    task.cancel()


async def test_keys_of_cluster_scoped_objects() -> None:
    server = FakeServer()
    server.put("/api/v1/nodes/n1")
    informer = Informer(Client(server), Node)
    task = asyncio.create_task(informer.run())
    await informer.synced.wait()
    assert list(informer.objects) == ["n1"]
    task.cancel()
