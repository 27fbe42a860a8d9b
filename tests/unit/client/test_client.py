"""Verbs ask for the right paths and read the answers as declared kinds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from engine.client.client import Client
from engine.client.transport import Response, lines
from engine.types.apps import Deployment
from engine.types.core import Node, Pod
from engine.types.status import AlreadyExists, Gone, Invalid, NotFound, StatusError, required
from tests.unit.client.fake import FakeServer


class Recorder:
    """A transport that answers every request alike and keeps what was asked."""

    def __init__(self, body: bytes = b"{}", status: int = 200) -> None:
        self.answer = Response(status, body)
        self.asked: list[tuple[str, str, dict[str, str], Any, str | None]] = []

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str | None = None,
        accept: str | None = None,
    ) -> Response:
        data = json.loads(body) if body is not None else None
        self.asked.append((method, path, dict(query or {}), data, content_type))
        return self.answer

    def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        accept: str | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        self.asked.append((method, path, dict(query or {}), None, accept))

        @asynccontextmanager
        async def stream() -> AsyncIterator[AsyncIterator[bytes]]:
            yield chunked(self.answer.body)

        return stream()

    async def close(self) -> None:
        pass


async def chunked(body: bytes, size: int = 5) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def test_create_get_list_patch_delete() -> None:
    server = FakeServer()
    client = Client(server)
    pod = Pod()
    pod.metadata.name = "a"
    created = await client.create(pod)
    assert created.metadata.resource_version == "1"
    assert (await client.get(Pod, "a")).metadata.uid == created.metadata.uid
    listing = await client.list(Pod)
    assert [p.metadata.name for p in listing.items] == ["a"]
    assert listing.resource_version == "1"
    patched = await client.patch(Pod, "a", None, {"spec": {"nodeName": "n"}})
    assert patched.spec.node_name == "n"
    await client.delete(Pod, "a", uid="u", grace_period=0)
    assert server.bodies[-1] == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": "u"},
    }
    with pytest.raises(NotFound, match='pods "a" not found'):
        await client.get(Pod, "a")


async def test_refusals_become_their_exceptions() -> None:
    server = FakeServer()
    client = Client(server)
    pod = Pod()
    pod.metadata.name = "a"
    await client.create(pod)
    with pytest.raises(AlreadyExists):
        await client.create(pod)
    invalid = Invalid("Pod", "a", [required("spec.containers")])
    refusing = Client(Recorder(json.dumps(invalid.to_status()).encode(), 422))
    with pytest.raises(Invalid) as caught:
        await refusing.update(pod)
    assert caught.value.causes == invalid.causes


async def test_an_answer_that_is_no_status() -> None:
    client = Client(Recorder(b"<html>bad gateway</html>", 502))
    with pytest.raises(StatusError, match="bad gateway") as caught:
        await client.list(Pod)
    assert caught.value.code == 502


async def test_paths_and_bodies() -> None:
    transport = Recorder()
    client = Client(transport, "mine")
    deployment = Deployment()
    deployment.metadata.name, deployment.metadata.namespace = "web", "d"
    await client.update(deployment)
    await client.update_status(deployment)
    await client.patch(
        Deployment, "web", "d", {"spec": {"replicas": 2}, "x": None}, subresource="scale"
    )
    await client.bind("d", "a", "n1")
    await client.get(Node, "n1")
    await client.get(Pod, "a")
    await client.list(Pod, labels="a=b", fields="spec.nodeName=n")
    await client.create_raw(Pod, {"metadata": {"name": "x"}, "odd": 1}, "d")
    root = "/apis/apps/v1/namespaces/d/deployments/web"
    assert [(method, path) for method, path, *_ in transport.asked] == [
        ("PUT", root),
        ("PUT", f"{root}/status"),
        ("PATCH", f"{root}/scale"),
        ("POST", "/api/v1/namespaces/d/pods/a/binding"),
        ("GET", "/api/v1/nodes/n1"),
        ("GET", "/api/v1/namespaces/mine/pods/a"),
        ("GET", "/api/v1/pods"),
        ("POST", "/api/v1/namespaces/d/pods"),
    ]
    patch, binding, listing, raw = (transport.asked[i] for i in (2, 3, 6, 7))
    assert patch[3:] == ({"spec": {"replicas": 2}, "x": None}, "application/merge-patch+json")
    assert binding[3] == {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "a", "namespace": "d"},
        "target": {"kind": "Node", "name": "n1", "apiVersion": "v1"},
    }
    assert listing[2] == {"labelSelector": "a=b", "fieldSelector": "spec.nodeName=n"}
    assert raw[3] == {"metadata": {"name": "x"}, "odd": 1}


async def test_a_name_must_not_be_empty() -> None:
    with pytest.raises(ValueError, match="name"):
        await Client(Recorder()).get(Pod, "")


async def test_null_items() -> None:
    client = Client(Recorder(b'{"items":null,"metadata":{"resourceVersion":"3"}}'))
    listing = await client.list(Pod)
    assert (listing.items, listing.resource_version) == ([], "3")


async def test_get_raw_keeps_every_field() -> None:
    data = {"metadata": {"name": "a"}, "odd": {"x": [1]}}
    assert await Client(Recorder(json.dumps(data).encode())).get_raw(Pod, "a") == data


async def test_watch() -> None:
    events = [
        {"type": "ADDED", "object": {"metadata": {"name": "a"}}},
        {"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": {"resourceVersion": "9"}}},
        {"type": "ERROR", "object": Gone(1, 5).to_status()},
    ]
    transport = Recorder(b"\n".join(json.dumps(event).encode() for event in events))
    watch = Client(transport).watch(Pod, "d", resource_version="1")
    added, bookmark = await anext(watch), await anext(watch)
    assert (added.type, added.object.metadata.name) == ("ADDED", "a")
    assert (bookmark.type, bookmark.object.metadata.resource_version) == ("BOOKMARK", "9")
    with pytest.raises(Gone, match=r"too old resource version: 1 \(5\)"):
        await anext(watch)


async def test_logs() -> None:
    transport = Recorder(b"one\n\ntwo \xff\nthree")
    client = Client(transport)
    found = [
        line
        async for line in client.logs(
            "d", "a", "c", follow=True, tail=3, previous=True, timestamps=True, since=5
        )
    ]
    assert found == [b"one", b"", b"two \xff", b"three"]
    assert transport.asked[0][1:3] == (
        "/api/v1/namespaces/d/pods/a/log",
        {
            "container": "c",
            "follow": "true",
            "previous": "true",
            "timestamps": "true",
            "tailLines": "3",
            "sinceSeconds": "5",
        },
    )


@pytest.mark.parametrize("size", [1, 2, 3, 100])
async def test_lines_from_chunks_cut_anywhere(size: int) -> None:
    body = b"a\nbb\n\nccc\r\nlast"
    found = [line async for line in lines(chunked(body, size))]
    assert found == [b"a", b"bb", b"", b"ccc\r", b"last"]
