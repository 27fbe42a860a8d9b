"""The API and its store without nodes: `python -m tests.bench.api`. Durable, in process.

Pods of 1.5 kB are created and bound through the API by fifty callers while a watcher looks on; then
they are listed, watched by a thousand, and read again by a new process' worth of store.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import msgspec

from engine.api.handler import Api
from engine.api.request import Request
from engine.store.store import Store
from engine.types.registry import RESOURCES
from tests.bench.table import Row

PODS = 10_000
CALLERS = 50
WATCHERS = 1000
CHANGES = 200
VOLATILE = [resource.key for resource in RESOURCES if not resource.durable]
COLLECTION = "/api/v1/namespaces/default/pods"
MERGE = {"content-type": "application/merge-patch+json"}
POD = msgspec.json.encode(
    {
        "metadata": {"generateName": "web-", "labels": {"app": "web"}},
        "spec": {
            "containers": [
                {
                    "name": "web",
                    "image": "podarium/host:latest",
                    "command": ["python", "app.py"],
                    "ports": [{"containerPort": 8000}],
                    "env": [{"name": "A", "value": "b"}],
                    "resources": {"requests": {"cpu": "50m"}, "limits": {"memory": "64Mi"}},
                    "readinessProbe": {"httpGet": {"port": 8000}},
                }
            ]
        },
    }
)


async def ask(api: Api, method: str, path: str, body: bytes = b"", **query: str) -> bytes:
    headers = MERGE if method == "PATCH" else {}
    response = await api.handle(Request(method, path, query, headers, body))
    assert isinstance(response.body, bytes)
    assert response.status < 300, response.body
    return response.body


async def watch(api: Api, **query: str) -> AsyncIterator[bytes]:
    response = await api.handle(Request("GET", COLLECTION, {"watch": "1", **query}))
    assert not isinstance(response.body, bytes)
    return response.body


async def drain(stream: AsyncIterator[bytes], events: int) -> None:
    async for chunk in stream:
        events -= chunk.count(b"\n")
        if events <= 0:
            return


async def spread(work: Iterator[str], call: Callable[[str], Awaitable[object]]) -> None:
    """Fifty callers share the work."""

    async def caller() -> None:
        for item in work:
            await call(item)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


async def once(folder: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    path = folder / "store.sqlite"
    store = Store.open(path, volatile=VOLATILE)
    api = Api(store)
    await api.bootstrap()
    names: list[str] = []

    async def create(_: str) -> None:
        made = msgspec.json.decode(await ask(api, "POST", COLLECTION, POD))
        names.append(made["metadata"]["name"])

    async def bind(name: str) -> None:
        await ask(api, "POST", f"{COLLECTION}/{name}/binding", b'{"target":{"name":"n"}}')

    onlooker = asyncio.create_task(drain(await watch(api), 2 * PODS))
    started = time.perf_counter()
    await spread(iter([""] * PODS), create)
    await spread(iter(list(names)), bind)
    await onlooker
    found["pod created and bound"] = (time.perf_counter() - started) / PODS * 1000

    started = time.perf_counter()
    await ask(api, "GET", COLLECTION)
    found["list of 10,000 pods"] = (time.perf_counter() - started) * 1000

    revision = str(store.revision)
    streams = [await watch(api, resourceVersion=revision) for _ in range(WATCHERS)]
    watchers = [asyncio.create_task(drain(stream, CHANGES)) for stream in streams]

    async def change(name: str) -> None:
        await ask(api, "PATCH", f"{COLLECTION}/{name}", b'{"metadata":{"labels":{"x":"y"}}}')

    started = time.perf_counter()
    await spread(iter(names[:CHANGES]), change)
    await asyncio.gather(*watchers)
    found["event to one of 1,000 watchers"] = (
        (time.perf_counter() - started) / (WATCHERS * CHANGES) * 1000
    )
    await api.close()
    await store.close()

    started = time.perf_counter()
    again = Store.open(path, volatile=VOLATILE)
    found["store of 10,000 pods opened"] = (time.perf_counter() - started) * 1000
    await again.close()
    return found


BARS = {
    "pod created and bound": 1.0,
    "list of 10,000 pods": 300.0,
    "event to one of 1,000 watchers": 1000 / 300_000,
    "store of 10,000 pods opened": 1000.0,
}


def measure(runs: int) -> list[Row]:
    """Milliseconds each; the store lies where temporary files do."""
    values: dict[str, list[float]] = {name: [] for name in BARS}
    for _ in range(runs):
        with tempfile.TemporaryDirectory(prefix="pdm") as folder:
            for name, value in asyncio.run(once(Path(folder))).items():
                values[name].append(value)
    return [Row(name, "ms", values[name], bar) for name, bar in BARS.items()]
