"""An API server in memory that says what it is told: lists, watches, stats, logs, changes."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import msgspec

from engine.client.errors import Unreachable
from engine.client.transport import Response
from engine.types import registry
from engine.types.status import NotFound, StatusError
from tests.tui import made_up
from tests.tui.fake_images import WORK, FakeImages
from tests.tui.fake_shell import FakeShell

Dict = dict[str, Any]


class FakeCluster:
    """A transport. `put` and `remove` change its objects, `cut` and `heal` its connections."""

    def __init__(self, objects: dict[str, list[Dict]] | None = None, *, history: int = 300) -> None:
        found = made_up.objects() if objects is None else objects
        self.objects: dict[str, dict[str, Dict]] = {
            plural: {_key(obj): obj for obj in items} for plural, items in found.items()
        }
        self.now = made_up.NOW
        self.history = history
        self.log = made_up.log()
        self.asked_logs: list[dict[str, str]] = []
        self.reachable = True
        self.podarium = True
        """False: a cluster that is not ours, without stats and images."""
        self.requests: list[tuple[str, str, bytes | None]] = []
        self.forbidden: set[str] = set()
        """Kinds that may not be listed."""
        self.refuse: StatusError | None = None
        """The answer to every change."""
        self.refuses = ""
        """Only to changes of the object of this name."""
        self.shell = FakeShell()
        self.images = FakeImages(list(self.objects.get("images", {}).values()))
        self.works: set[asyncio.Queue[bytes | None]] = set()
        """Pulls that are under way."""
        self.containers = {"anatomy": made_up.ANATOMY, "trace": {}}
        """What the engine says of every container."""
        self._version = 100
        self._watchers: dict[str, set[asyncio.Queue[bytes | None]]] = {}
        self._ticks: set[asyncio.Queue[bytes | None]] = set()
        self.logs: dict[str, bytes] = {}
        """By `pod/container`; what is not here has `log`."""
        self._logs: dict[str, set[asyncio.Queue[bytes | None]]] = {}

    def clock(self) -> float:
        """The made-up time."""
        return self.now

    # -- what a test does to it --------------------------------------------------------------

    def put(self, plural: str, obj: Dict) -> None:
        """Create or replace an object."""
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        known = self.objects.setdefault(plural, {})
        kind = "MODIFIED" if _key(obj) in known else "ADDED"
        known[_key(obj)] = obj
        self._tell(plural, kind, obj)

    def remove(self, plural: str, key: str) -> None:
        """Delete an object."""
        self._version += 1
        obj = self.objects[plural].pop(key)
        obj["metadata"]["resourceVersion"] = str(self._version)
        self._tell(plural, "DELETED", obj)

    def _tell(self, plural: str, kind: str, obj: Dict) -> None:
        line = msgspec.json.encode({"type": kind, "object": obj}) + b"\n"
        for queue in self._watchers.get(plural, ()):
            queue.put_nowait(line)

    def tick(self, seconds: float = 1.0) -> None:
        """Time goes by, and the statistics say so."""
        self.now += seconds
        line = msgspec.json.encode(made_up.tick(self.now)) + b"\n"
        for queue in self._ticks:
            queue.put_nowait(line)

    def write_log(self, text: bytes, target: str = "") -> None:
        """A container (`pod/container`) writes, or every one."""
        if target:
            self.logs[target] = self.logs.get(target, b"") + text
        else:
            self.log += text
        for name in [target] if target else self._logs:
            for queue in self._logs.get(name, ()):
                queue.put_nowait(text)

    def cut(self) -> None:
        """Break every connection."""
        self.reachable = False
        for group in (*self._watchers.values(), self._ticks, *self._logs.values()):
            for queue in group:
                queue.put_nowait(None)

    def heal(self) -> None:
        """Answer again."""
        self.reachable = True

    # -- Transport ---------------------------------------------------------------------------

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
        if not self.reachable:
            raise Unreachable("fake", "connection refused")
        self.requests.append((method, path, body))
        try:
            if path.startswith("/podarium/v1/images/") and self.podarium:
                found = self.images.answer(path, query or {})
                return Response(
                    200, found if isinstance(found, bytes) else msgspec.json.encode(found)
                )
            return Response(200, msgspec.json.encode(self._answer(method, path, body)))
        except StatusError as error:
            return Response(error.code, msgspec.json.encode(error.to_status()))

    def _answer(self, method: str, path: str, body: bytes | None) -> Any:
        if path.endswith(("/anatomy", "/trace")) and self.podarium:
            return self.containers[path.rpartition("/")[2]]
        if path == "/apis/podarium.io/v1" and self.podarium:
            return {"kind": "APIResourceList"}
        plural, namespace, name = _split(path)
        if plural is None:
            raise NotFound("", path)
        known = self.objects.setdefault(plural, {})
        if plural in self.forbidden:
            raise StatusError(f"{plural} is forbidden: not for you", code=403, reason="Forbidden")
        if not name:
            items = list(known.values())
            return {"metadata": {"resourceVersion": str(self._version)}, "items": items}
        key = f"{namespace}/{name}" if namespace else name
        if key not in known:
            raise NotFound(plural, name)
        if method != "GET" and self.refuse is not None and name in (self.refuses or name):
            raise self.refuse
        if method == "DELETE":
            obj = known[key]
            self.remove(plural, key)
            return obj
        if method == "POST" and path.endswith("/eviction"):
            self.remove(plural, key)
            return {"kind": "Status", "status": "Success"}
        if method == "PUT":
            self.put(plural, msgspec.json.decode(body or b"{}"))
            return known[key]
        if method == "PATCH":
            obj = _merge(copy.deepcopy(known[key]), msgspec.json.decode(body or b"{}"))
            self.put(plural, obj)
            return obj
        return known[key]

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        accept: str | None = None,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        if not self.reachable:
            raise Unreachable("fake", "connection refused")
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        if path == "/podarium/v1/stats":
            if not self.podarium:
                raise NotFound("", path)
            group = self._ticks
            for age in range(self.history - 1, -1, -1):
                queue.put_nowait(msgspec.json.encode(made_up.tick(self.now - age)) + b"\n")
        elif path.startswith("/podarium/v1/images/"):
            self.requests.append((method, path, None))
            group = self.works
            for event in WORK["remove" if method == "DELETE" else path.rpartition("/")[2]]:
                queue.put_nowait(msgspec.json.encode(event) + b"\n")
            if method == "DELETE" or path.endswith("/prune"):
                queue.put_nowait(b"")
        elif path.endswith("/log"):
            asked = query or {}
            target = f"{_split(path)[2]}/{asked.get('container', '')}"
            group = self._logs.setdefault(target, set())
            self.asked_logs.append(dict(asked))
            queue.put_nowait(self.logs.get(target, self.log))
            if asked.get("follow") != "true":
                queue.put_nowait(b"")
        else:
            plural, _, _ = _split(path)
            group = self._watchers.setdefault(plural or "", set())
        group.add(queue)
        try:
            yield _drain(queue)
        finally:
            group.discard(queue)

    @asynccontextmanager
    async def socket(
        self, path: str, *, query: Sequence[tuple[str, str]], protocols: Sequence[str]
    ) -> AsyncIterator[tuple[FakeShell, str]]:
        self.requests.append(("SOCKET", f"{path}?{urlencode(query)}", None))
        if not self.reachable:
            raise Unreachable("fake", "connection refused")
        yield self.shell, protocols[0]

    async def close(self) -> None:
        pass


async def _drain(queue: asyncio.Queue[bytes | None]) -> AsyncIterator[bytes]:
    while True:
        chunk = await queue.get()
        if chunk is None:
            raise Unreachable("fake", "connection lost")
        if not chunk:
            return
        yield chunk


def _key(obj: Dict) -> str:
    meta = obj["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if "namespace" in meta else str(meta["name"])


def _split(path: str) -> tuple[str | None, str, str]:
    """Plural, namespace and name of a path."""
    for resource in registry.RESOURCES:
        if path == resource.root or not path.startswith(resource.root + "/"):
            continue
        parts = path[len(resource.root) + 1 :].split("/")
        namespace = ""
        if parts[0] == "namespaces" and len(parts) > 2:
            namespace, parts = parts[1], parts[2:]
        if parts[0] == resource.plural:
            return resource.plural, namespace, parts[1] if len(parts) > 1 else ""
    return None, "", ""


def _merge(target: Dict, patch: Dict) -> Dict:
    for key, value in patch.items():
        if isinstance(value, dict):
            target[key] = _merge(target.get(key) or {}, value)
        else:
            target[key] = value
    return target
