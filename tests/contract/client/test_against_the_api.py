"""The client and the server keep the same contract, over every transport."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from engine.api import tls
from engine.api.direct import DirectTransport
from engine.api.handler import Api
from engine.api.server import Server
from engine.client.client import Client
from engine.client.errors import Unreachable
from engine.client.events import EventRecorder
from engine.client.http import HttpTransport
from engine.client.informer import Informer, key_of
from engine.client.transport import Response, Transport
from engine.store.store import Store
from engine.types.apps import Deployment
from engine.types.containers import Container
from engine.types.core import ConfigMap, Event, Node, Pod
from engine.types.status import AlreadyExists, Conflict, Gone, Invalid, NotFound, StatusError


@asynccontextmanager
async def reaching(api: Api, way: str, folder: Path) -> AsyncIterator[Transport]:
    """The API over one of the ways to it."""
    if way == "direct":
        yield DirectTransport(api)
        return
    server = Server(api)
    try:
        if way == "unix":
            await server.listen_unix(folder / "s")
            transport = HttpTransport(folder / "s")
        else:
            port = await server.listen_tls("127.0.0.1", 0, tls.server_context(folder / "pki"))
            tls.write_kubeconfig(folder / "config", folder / "pki", "t", port)
            transport = HttpTransport.from_kubeconfig(folder / "config")
        async with transport:
            yield transport
    finally:
        await server.close()


@pytest.fixture(params=["direct", "unix", "tls"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    api = Api(Store())
    await api.bootstrap()
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="pdm"))
        stack.push_async_callback(api.close)
        transport = await stack.enter_async_context(reaching(api, request.param, Path(folder)))
        yield Client(transport)


def config_map(name: str, **data: str) -> ConfigMap:
    result = ConfigMap(data=data)
    result.metadata.name = name
    return result


def pod(name: str) -> Pod:
    result = Pod()
    result.metadata.name = name
    result.metadata.labels = {"app": name}
    result.spec.containers = [Container(name="c", image="i")]
    return result


async def test_an_object_lives(client: Client) -> None:
    created = await client.create(config_map("a", k="1"))
    assert created.metadata.uid
    assert created.metadata.creation_timestamp
    assert await client.get(ConfigMap, "a") == created
    created.data["k"] = "2"
    updated = await client.update(created)
    assert updated.data == {"k": "2"}
    with pytest.raises(Conflict, match="the object has been modified"):
        await client.update(created)
    patched = await client.patch(ConfigMap, "a", None, {"data": {"k": None, "l": "3"}})
    assert patched.data == {"l": "3"}
    with pytest.raises(Conflict):
        await client.delete(ConfigMap, "a", uid="another")
    await client.delete(ConfigMap, "a", uid=created.metadata.uid)
    with pytest.raises(NotFound, match='configmaps "a" not found'):
        await client.get(ConfigMap, "a")


async def test_refusals(client: Client) -> None:
    await client.create(config_map("a"))
    with pytest.raises(AlreadyExists, match='configmaps "a" already exists'):
        await client.create(config_map("a"))
    broken = pod("p")
    broken.spec.containers = [Container(name="C!", image="")]
    with pytest.raises(Invalid) as caught:
        await client.create(broken)
    assert {cause.field for cause in caught.value.causes} >= {
        "spec.containers[0].name",
        "spec.containers[0].image",
    }
    with pytest.raises(StatusError) as refused:
        await client.list(Pod, labels="a in (")
    assert refused.value.code == 400
    with pytest.raises(NotFound):
        await client.raw("GET", "/apis/nothing/v1/things")


async def test_status_binding_and_scale(client: Client) -> None:
    node = Node()
    node.metadata.name = "n1"
    await client.create(node)
    made = await client.create(pod("p"))
    await client.bind("default", "p", "n1")
    with pytest.raises(Conflict):
        await client.bind("default", "p", "n1")
    bound = await client.get(Pod, "p")
    assert bound.spec.node_name == "n1"
    assert bound.metadata.uid == made.metadata.uid
    bound.status.phase = "Running"
    assert (await client.update_status(bound)).status.phase == "Running"
    listing = await client.list(Pod, fields="spec.nodeName=n1,status.phase!=Failed")
    assert [found.metadata.name for found in listing.items] == ["p"]
    assert (await client.list(Pod, fields="spec.nodeName=n2")).items == []
    deployment = Deployment()
    deployment.metadata.name = "web"
    deployment.spec.selector.match_labels = {"app": "web"}
    deployment.spec.template.metadata.labels = {"app": "web"}
    deployment.spec.template.spec.containers = [Container(name="c", image="i")]
    await client.create(deployment)
    await client.raw(
        "PATCH",
        "/apis/apps/v1/namespaces/default/deployments/web/scale",
        body=b'{"spec":{"replicas":4}}',
        content_type="application/merge-patch+json",
    )
    assert (await client.get(Deployment, "web")).spec.replicas == 4


async def test_watch_from_a_list(client: Client) -> None:
    await client.create(pod("a"))
    version = (await client.list(Pod)).resource_version
    await client.create(pod("b"))
    await client.patch(Pod, "b", None, {"metadata": {"labels": {"app": "c"}}})
    await client.delete(Pod, "a", grace_period=0)
    watch = client.watch(Pod, "default", resource_version=version)
    found = [await anext(watch) for _ in range(3)]
    assert [(event.type, event.object.metadata.name) for event in found] == [
        ("ADDED", "b"),
        ("MODIFIED", "b"),
        ("DELETED", "a"),
    ]


async def test_a_watch_ends_in_time_with_a_bookmark(client: Client) -> None:
    version = (await client.list(Pod)).resource_version
    events = [
        event.type async for event in client.watch(Pod, resource_version=version, timeout_seconds=1)
    ]
    assert events in ([], ["BOOKMARK"])


async def test_a_version_from_the_future_is_refused(client: Client) -> None:
    with pytest.raises(StatusError):
        await anext(client.watch(Pod, resource_version="999999999", timeout_seconds=1))


async def test_events_are_counted_at_the_server(client: Client) -> None:
    made = await client.create(pod("p"))
    recorder = EventRecorder(client, "kubelet", host="n1")
    for _ in range(3):
        recorder.record(made, "Warning", "BackOff", "again")
    await recorder.flush()
    await recorder.close()
    (event,) = (await client.list(Event, fields="involvedObject.name=p")).items
    assert (event.count, event.reason, event.involved_object.uid) == (
        3,
        "BackOff",
        made.metadata.uid,
    )


class Unreliable:
    """A transport whose streams break after a few chunks and whose requests sometimes fail."""

    def __init__(self, inner: Transport, rng: random.Random) -> None:
        self._inner = inner
        self._rng = rng

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
        if self._rng.random() < 0.3:
            raise Unreachable("unreliable", "no")
        return await self._inner.request(
            method, path, query=query, body=body, content_type=content_type, accept=accept
        )

    def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        accept: str | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        return self._breaking(method, path, query, accept)

    @asynccontextmanager
    async def _breaking(
        self, method: str, path: str, query: Mapping[str, str] | None, accept: str | None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        left = self._rng.randint(0, 6)
        refuse = self._rng.random()
        if refuse < 0.2:
            raise Unreachable("unreliable", "no")
        if refuse < 0.3:
            raise Gone(1, 2)
        async with self._inner.stream(method, path, query=query, accept=accept) as chunks:

            async def some() -> AsyncIterator[bytes]:
                for _ in range(left):
                    chunk = await anext(chunks)
                    # A break may come in the middle of a line.
                    yield chunk[: self._rng.randint(0, len(chunk))] if left == 1 else chunk
                raise Unreachable("unreliable", "broken")

            yield some()

    async def close(self) -> None:
        await self._inner.close()


@pytest.mark.parametrize("seed", range(5))
async def test_an_informer_is_true_whatever_happens_to_its_connection(
    client: Client, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.client.informer.FIRST_DELAY", 0.0001)
    monkeypatch.setattr("engine.client.informer.LAST_DELAY", 0.001)
    rng = random.Random(seed)
    informer = Informer(Client(Unreliable(client.transport, rng)), ConfigMap, "default")
    known: dict[str, str] = {}
    changed = asyncio.Event()

    def follow(old: ConfigMap | None, new: ConfigMap | None) -> None:
        """Every story a handler is told makes sense: made once, changed forward, gone once."""
        some = new or old
        assert some is not None
        key = key_of(some)
        assert (old is None) == (key not in known), key
        if old is not None and new is not None:
            assert old.metadata.uid == new.metadata.uid
            assert int(known[key]) < int(new.metadata.resource_version)
        if new is None:
            del known[key]
        else:
            known[key] = new.metadata.resource_version
        changed.set()

    faults: list[BaseException] = []

    def checked(old: ConfigMap | None, new: ConfigMap | None) -> None:
        try:
            follow(old, new)
        except AssertionError as fault:
            faults.append(fault)
            raise

    informer.add_handler(checked)
    task = asyncio.create_task(informer.run())
    names: set[str] = set()
    for step in range(60):
        name = rng.choice("abcdef")
        if name not in names:
            await client.create(config_map(name, step=str(step)))
            names.add(name)
        elif rng.random() < 0.5:
            await client.patch(ConfigMap, name, None, {"data": {"step": str(step)}})
        else:
            await client.delete(ConfigMap, name)
            names.discard(name)
        if rng.random() < 0.3:
            await asyncio.sleep(0.001)
    truth = {
        key_of(obj): obj.metadata.resource_version
        for obj in (await client.list(ConfigMap, "default")).items
    }
    while known != truth:
        changed.clear()
        await asyncio.wait_for(changed.wait(), 30)
    task.cancel()
    assert {key: obj.metadata.resource_version for key, obj in informer.objects.items()} == truth
    assert not faults
