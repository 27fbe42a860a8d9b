"""Over real sockets: a unix socket for its owner, TLS for who has a certificate."""

import asyncio
import json
import ssl
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from engine.api import server as server_module
from engine.api import tls
from engine.api.server import Server
from engine.client.client import Client
from engine.client.http import HttpTransport
from engine.types.core import ConfigMap, Namespace
from engine.types.meta import ObjectMeta
from engine.types.status import AlreadyExists, Unauthorized
from tests.unit.api.world import POD, World, pod


@pytest.fixture
async def server(world: World) -> AsyncIterator[Server]:
    server = Server(world.api)
    yield server
    await world.api.close()
    await server.close()


@pytest.fixture
async def socket(server: Server, tmp_path: Path) -> Path:
    path = tmp_path / "run" / "api.sock"
    await server.listen_unix(path)
    return path


@pytest.fixture
async def session(socket: Path) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.UnixConnector(str(socket))
    async with aiohttp.ClientSession("http://x", connector=connector) as session:
        yield session


def config(name: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data={"a": "b"})


async def test_the_socket_is_for_its_owner_only(socket: Path) -> None:
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700


async def test_a_dead_socket_is_replaced_and_the_own_removed(
    world: World, server: Server, socket: Path
) -> None:
    await server.close()
    assert not socket.exists()
    socket.write_text("left behind")
    again = Server(world.api)
    await again.listen_unix(socket)
    transport = HttpTransport(socket)
    assert (await transport.request("GET", "/readyz")).body == b"ok"
    await transport.close()
    await again.close()


async def test_the_client_over_the_socket(socket: Path) -> None:
    transport = HttpTransport(socket)
    client = Client(transport)
    made = await client.create(config("one"))
    seen = []
    async for event in client.watch(ConfigMap, "default", resource_version="0"):
        seen.append((event.type, event.object.metadata.name))
        if len(seen) == 1:
            await client.create(config("two"))
            await client.delete(ConfigMap, "one", "default")
        if len(seen) == 3:
            break
    assert seen == [("ADDED", "one"), ("ADDED", "two"), ("DELETED", "one")]
    assert made.metadata.uid
    with pytest.raises(AlreadyExists):
        await client.create(config("two"))
    assert len((await client.list(Namespace)).items) == 4
    await transport.close()


async def test_a_watch_ends_with_its_client(
    world: World, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten = asyncio.Event()
    monkeypatch.setattr(world.api.hub, "forget", lambda group: forgotten.set())
    response = await session.get(POD, params={"watch": "1"})
    assert any(world.api.hub._groups.values())
    response.close()
    await forgotten.wait()


async def test_a_stopping_server_ends_its_watches(
    world: World, server: Server, session: aiohttp.ClientSession
) -> None:
    async with session.get(POD, params={"watch": "1"}) as response:
        await world.api.close()
        assert await response.content.read() == b""
    await server.close()


async def test_a_stopping_server_does_not_wait_for_streams(
    world: World, server: Server, session: aiohttp.ClientSession
) -> None:
    async with session.get(POD, params={"watch": "1"}) as response:
        await server.close()
        with pytest.raises(aiohttp.ClientError):
            await response.content.read()


async def test_a_watcher_that_reads_nothing_is_ended_and_harms_nobody(
    world: World, socket: Path, session: aiohttp.ClientSession
) -> None:
    world.api.hub._buffer = 100_000
    _, writer = await asyncio.open_unix_connection(str(socket))
    writer.write(f"GET {POD}?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    async with session.get(POD, params={"watch": "1"}) as healthy:
        group = next(iter(world.api.hub._groups["pods"].values()))
        while len(group.watchers) < 2:
            await world.ask("GET", POD)
            await asyncio.sleep(0)
        number = 0
        while len(group.watchers) == 2:
            number += 1
            big = pod(f"p{number}")
            big["metadata"]["annotations"] = {"text": "x" * 100_000}
            await world.ask("POST", POD, big)
            event = json.loads(await healthy.content.readuntil(b"\n"))
            assert event["object"]["metadata"]["name"] == f"p{number}"
    writer.close()


async def test_paths_are_decoded_once(session: aiohttp.ClientSession) -> None:
    async with session.get("/api/v1/namespaces/default/pods/a%2Fb") as response:
        assert response.status == 404
    async with session.get(POD, params={"labelSelector": "a in (b,c),d!=e"}) as response:
        assert (await response.json())["items"] == []


async def test_bodies_have_a_limit(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "BODY_MAX", 1000)
    big = json.dumps(pod(hostname="x" * 2000)).encode()
    async with session.post(POD, data=big) as response:
        assert response.status == 413
        assert (await response.json())["reason"] == "RequestEntityTooLarge"

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 500

    async with session.post(POD, data=pieces()) as response:
        assert response.status == 413


async def test_garbage_is_not_understood_and_harms_nobody(socket: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(str(socket))
    writer.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()
    transport = HttpTransport(socket)
    assert (await transport.request("GET", "/healthz")).status == 200
    await transport.close()


@pytest.fixture
async def kubeconfig(server: Server, tmp_path: Path) -> Path:
    folder = tmp_path / "pki"
    port = await server.listen_tls("127.0.0.1", 0, tls.server_context(folder))
    path = tmp_path / "kubeconfig"
    tls.write_kubeconfig(path, folder, "test", port)
    return path


async def test_tls_with_the_kubeconfig(kubeconfig: Path) -> None:
    transport = HttpTransport.from_kubeconfig(kubeconfig)
    assert len((await Client(transport).list(Namespace)).items) == 4
    await transport.close()


async def test_without_a_certificate_there_is_only_a_401(kubeconfig: Path) -> None:
    cluster = json.loads(kubeconfig.read_bytes())["clusters"][0]["cluster"]
    context = ssl.create_default_context(cafile=str(kubeconfig.parent / "pki" / "ca.crt"))
    async with aiohttp.ClientSession() as session:
        for path in ("/version", "/api/v1/secrets"):
            async with session.get(cluster["server"] + path, ssl=context) as response:
                assert response.status == 401
                assert (await response.json())["reason"] == Unauthorized.reason


async def test_a_certificate_of_someone_else_is_refused(kubeconfig: Path, tmp_path: Path) -> None:
    tls.ensure(tmp_path / "other")
    context = ssl.create_default_context(cafile=str(tmp_path / "pki" / "ca.crt"))
    context.load_cert_chain(tmp_path / "other" / "admin.crt", tmp_path / "other" / "admin.key")
    server = json.loads(kubeconfig.read_bytes())["clusters"][0]["cluster"]["server"]
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            async with session.get(server + "/version", ssl=context):
                pass
