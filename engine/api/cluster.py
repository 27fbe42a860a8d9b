"""Paths that are no resources: health, version, and what Podarium itself tells of the cluster."""

from __future__ import annotations

import platform

from engine.api.request import Request, Response
from engine.store.store import Store
from engine.types import clock, version
from engine.types.clock import Clock
from engine.types.core import Node
from engine.types.registry import resource_for
from engine.types.status import MethodNotAllowed

HEALTH = ("healthz", "readyz", "livez")


class Cluster:
    """What is true of the cluster as a whole."""

    def __init__(self, store: Store, now: Clock, *, name: str, id: str) -> None:
        self._store = store
        self._name = name
        self._id = id
        self._started = clock.now(now)

    def answer(self, parts: list[str], request: Request) -> Response | None:
        """None when the path is none of these. Raise MethodNotAllowed."""
        match parts:
            case [word, *_] if word in HEALTH:
                response = Response(200, b"ok", "text/plain")
            case ["version"]:
                response = Response.of(_version())
            case ["podarium", "v1", "cluster"]:
                response = Response.of(self._description())
            case _:
                return None
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed
        return response

    def _description(self) -> dict[str, object]:
        return {
            "name": self._name,
            "id": self._id,
            "version": version.PODARIUM,
            "started": self._started,
            "nodes": len(self._store.scan(resource_for(Node).key)),
            "revision": self._store.revision,
        }


def _version() -> dict[str, str]:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return {
        "major": version.MAJOR,
        "minor": version.MINOR,
        "gitVersion": version.KUBERNETES,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": f"python {platform.python_version()}",
        "platform": f"linux/{machine}",
    }
