"""An API over a store in memory, with a clock that tests move, spoken to as plain requests."""

import json
import random
from dataclasses import dataclass, field
from typing import Any

from engine.api.handler import Api
from engine.api.request import Request, Response
from engine.store.store import Store

START = 1_800_000_000.0
POD = "/api/v1/namespaces/default/pods"
DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments"


@dataclass
class World:
    """One API; `ask` is a request and its decoded answer."""

    store: Store
    now: float = START
    api: Api = field(init=False)

    def __post_init__(self) -> None:
        self.api = Api(self.store, clock=lambda: self.now, name="test", rng=random.Random(1))

    async def send(
        self,
        method: str,
        path: str,
        /,
        body: Any = None,
        *,
        content_type: str = "",
        accept: str = "",
        **query: str,
    ) -> Response:
        headers = {"content-type": content_type, "accept": accept}
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        request = Request(method, path, query, {k: v for k, v in headers.items() if v}, raw)
        return await self.api.handle(request)

    async def ask(self, method: str, path: str, /, body: Any = None, **more: str) -> Any:
        """The answer's data; fails on anything but success."""
        response = await self.send(method, path, body, **more)
        assert isinstance(response.body, bytes)
        assert response.status < 300, response.body
        return json.loads(response.body)

    async def refused(self, method: str, path: str, /, body: Any = None, **more: str) -> Any:
        """The Status of a request that must fail."""
        response = await self.send(method, path, body, **more)
        assert isinstance(response.body, bytes)
        assert response.status >= 400, response.body
        status = json.loads(response.body)
        assert status["kind"] == "Status"
        assert status["code"] == response.status
        return status

    async def watch(self, path: str, **query: str) -> "Watch":
        response = await self.send("GET", path, watch="true", **query)
        assert response.status == 200, response.body
        if isinstance(response.body, bytes):
            return Watch(None, response.body.splitlines())
        return Watch(response.body, [])


@dataclass
class Watch:
    """Events of a watch, one by one."""

    chunks: Any
    lines: list[bytes]

    async def next(self) -> tuple[str, Any]:
        while not self.lines:
            self.lines = (await anext(self.chunks)).splitlines()
        event = json.loads(self.lines.pop(0))
        return event["type"], event["object"]

    async def names(self, count: int) -> list[tuple[str, str]]:
        """Type and name of the next events."""
        events = [await self.next() for _ in range(count)]
        return [(kind, obj["metadata"].get("name", "")) for kind, obj in events]

    async def rest(self) -> list[tuple[str, Any]]:
        """All events until the watch ends by itself."""
        found = []
        while True:
            try:
                found.append(await self.next())
            except StopAsyncIteration:
                return found


def pod(name: str = "p", **spec: Any) -> dict[str, Any]:
    spec.setdefault("containers", [{"name": "c", "image": "busybox:1"}])
    return {"metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


def deployment(name: str = "web", **spec: Any) -> dict[str, Any]:
    spec.setdefault("selector", {"matchLabels": {"app": name}})
    spec.setdefault(
        "template",
        {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "c", "image": "busybox:1"}]},
        },
    )
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def container(**fields: Any) -> dict[str, Any]:
    return {"name": "c", "image": "i:1", **fields}


def job(**spec: Any) -> dict[str, Any]:
    template = {"spec": {"restartPolicy": "Never", "containers": [container()]}}
    return {"metadata": {"name": "j"}, "spec": {"template": template, **spec}}
