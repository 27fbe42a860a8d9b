"""Containers' files over the API: archives of any length pass as they come, and are held back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.api.server import BODY_MAX, Server
from engine.client.client import Client
from engine.client.files import ContainerFiles
from engine.client.http import HttpTransport
from engine.types.containerfiles import CommitOptions, Committed, FileChange, FileChanges, Placed
from engine.types.core import Pod
from engine.types.status import BadRequest, NotFound, StatusError
from tests.unit.api.world import POD, World, pod

_CHUNK = bytes(1 << 16)


class Files:
    """Nodes that note what they are asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.taken = 0
        self.closed = asyncio.Event()

    @property
    def files(self) -> Files:
        return self

    async def changes(self, pod: Pod, container: str, limit: int) -> FileChanges:
        self.asked.append((pod.metadata.name, container, limit))
        return FileChanges(changes=[FileChange(kind="added", path="/x", size=3)], size=3)

    async def export(self, pod: Pod, container: str) -> AsyncIterator[bytes]:
        yield b"export of "
        yield container.encode()

    async def archive(self, pod: Pod, container: str, path: str) -> AsyncIterator[bytes]:
        if path == "/none":
            raise NotFound("files", path)
        try:
            while True:  # without end: who has enough goes
                self.taken += 1
                yield _CHUNK
        finally:
            self.closed.set()

    async def place(
        self, pod: Pod, container: str, path: str, body: AsyncIterator[bytes], *, keep_owner: bool
    ) -> Placed:
        if path == "/full":
            raise BadRequest("no space left")
        size = 0
        async for chunk in body:
            size += len(chunk)
        self.asked.append((path, size, keep_owner))
        return Placed(entries=size)

    async def commit(self, pod: Pod, container: str, options: CommitOptions) -> Committed:
        self.asked.append(options)
        return Committed(reference=options.reference, digest="sha256:x", layer="", size=0)


@pytest.fixture
async def nodes(world: World) -> Files:
    made = Files()
    world.api.gateway = made  # type: ignore[assignment]
    await world.ask("POST", POD, pod(containers=[{"name": "c", "image": "i"}]))
    return made


@pytest.fixture
async def files(world: World, nodes: Files, tmp_path: Path) -> AsyncIterator[ContainerFiles]:
    server = Server(world.api)
    await server.listen_unix(tmp_path / "s")
    async with HttpTransport(unix=tmp_path / "s") as transport:
        yield ContainerFiles(Client(transport), "default", "p", "c")
    await server.close()


async def test_what_is_asked_reaches_the_node(files: ContainerFiles, nodes: Files) -> None:
    found = await files.changes()
    assert [change.path for change in found.changes] == ["/x"]
    async with files.export() as chunks:
        assert b"".join([chunk async for chunk in chunks]) == b"export of c"
    options = CommitOptions(reference="t/x:1", changes=["CMD x"], pause=False, epoch=7)
    assert (await files.commit(options)).reference == "t/x:1"
    assert nodes.asked == [("p", "c", 100_000), options]


async def test_an_archive_of_any_length_goes_in(files: ContainerFiles, nodes: Files) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(2 * BODY_MAX // len(_CHUNK)):
            yield _CHUNK

    placed = await files.place("/x y", chunks(), keep_owner=True)
    assert placed.entries == 2 * BODY_MAX
    assert nodes.asked == [("/x y", 2 * BODY_MAX, True)]
    with pytest.raises(StatusError, match="no space left"):
        await files.place("/full", chunks())


async def test_one_that_is_not_taken_is_held_back_and_ends_with_its_reader(
    files: ContainerFiles, nodes: Files
) -> None:
    async with files.archive("/") as chunks:
        assert await anext(chunks)
        before = -1
        while before != nodes.taken:  # until nothing more goes into the buffers between
            before = nodes.taken
            await asyncio.sleep(0.05)
    await nodes.closed.wait()
    assert nodes.taken < 1000


async def test_what_is_refused(world: World, files: ContainerFiles, nodes: Files) -> None:
    base = "/podarium/v1/namespaces/default/pods/p/containers/c"
    with pytest.raises(NotFound, match="/none"):
        async with files.archive("/none"):
            pass
    for method, path, query, code in (
        ("GET", f"{base}/archive", {"path": "relative"}, 400),
        ("GET", f"{base}/archive", {}, 400),
        ("PUT", f"{base}/archive", {"path": "/x"}, 415),
        ("GET", f"{base}/changes", {"limit": "0"}, 400),
        ("DELETE", f"{base}/changes", {}, 405),
        ("GET", f"{base}/commit", {}, 405),
        ("GET", f"{base}none/changes", {}, 400),
        ("GET", f"{base.replace('/p/', '/none/')}/changes", {}, 404),
    ):
        assert (await world.refused(method, path, **query))["code"] == code, (method, path)
    refused = await world.refused("POST", f"{base}/commit", {"pause": "maybe"})
    assert refused["code"] == 400
    assert "pause" in refused["message"]
    assert nodes.asked == []
