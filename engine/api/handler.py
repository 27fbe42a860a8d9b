"""The API without any transport: a Request in, a Response out, whatever happens.

Errors inside are StatusErrors and become Status objects here and nowhere else; anything that was
not foreseen is logged and becomes a 500 that says so.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Awaitable, Callable

from engine.api import route as routes
from engine.api.bootstrap import bootstrap
from engine.api.cluster import Cluster
from engine.api.discovery import Discovery
from engine.api.files import Files
from engine.api.gateway import NodeGateway
from engine.api.images import Images
from engine.api.janitor import Janitor
from engine.api.metrics import Metrics
from engine.api.nodes import Nodes
from engine.api.openapi import OpenAPI
from engine.api.reader import Reader
from engine.api.request import Request, Response
from engine.api.route import Route
from engine.api.subresource import Subresources
from engine.api.verbs import Verbs
from engine.api.watch import Hub
from engine.api.writer import Writer
from engine.store.store import Store
from engine.types.clock import Clock
from engine.types.status import InternalError, MethodNotAllowed, StatusError

log = logging.getLogger(__name__)

Handler = Callable[[Route, Request], Awaitable[Response]]


class Api:
    """A cluster's API over one store."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock = time.time,
        gateway: NodeGateway | None = None,
        name: str = "default",
        id: str = "",
        rng: random.Random | None = None,
    ) -> None:
        """`gateway` reaches the nodes; without one, logs and statistics are not available.

        `name` and `id` are the cluster's. `rng` makes uids and generated names.
        """
        self.store = store
        self.hub = Hub(store)
        self._writer = Writer(store, clock, rng or random.SystemRandom())
        self._reader = Reader(store, self.hub, clock)
        self._verbs = Verbs(store, self._writer)
        self._nodes = Nodes(store, clock, gateway)
        self._files = Files(lambda: self._nodes.reach().files, self._nodes.pod_with)
        self._images = Images(lambda: self._nodes.reach().images, self._nodes.pod)
        self._metrics = Metrics(store, self._nodes)
        self._subresources = Subresources(store, self._writer, self._verbs, self._nodes, clock)
        self._cluster = Cluster(store, clock, name=name, id=id)
        self._discovery = Discovery()
        self._openapi = OpenAPI()
        self._janitor = Janitor(store, self._writer, clock)

    @property
    def gateway(self) -> NodeGateway | None:
        """The way to the nodes; may be set when they are up, for they need the API to start."""
        return self._nodes.gateway

    @gateway.setter
    def gateway(self, gateway: NodeGateway | None) -> None:
        self._nodes.gateway = gateway

    async def bootstrap(self) -> None:
        """Make what every cluster has: its namespaces. Begin to forget old events."""
        await bootstrap(self._writer)
        self._janitor.start()

    async def close(self) -> None:
        """End every watch; the store stays open."""
        await self._janitor.stop()
        self.hub.close()

    async def handle(self, request: Request) -> Response:
        """Answer. Never raises but for cancellation."""
        try:
            response = await self._dispatch(request)
        except StatusError as error:
            response = Response.failure(error)
        except Exception as error:
            log.exception("%s %s", request.method, request.path)
            response = Response.failure(InternalError(f"{type(error).__name__}: {error}"))
        if request.warnings:
            response.headers["Warning"] = ", ".join(
                f'299 - "{_quoted(text)}"' for text in request.warnings
            )
        return response

    async def _dispatch(self, request: Request) -> Response:
        parts = [part for part in request.path.split("/") if part]
        answer = (
            self._discovery.answer(request)
            or self._openapi.answer(parts, request)
            or self._cluster.answer(parts, request)
            or self._metrics.answer(parts, request)
            or await self._nodes.answer(parts, request)
            or await self._images.answer(parts, request)
            or await self._files.answer(parts, request)
        )
        if answer is not None:
            return answer
        route = routes.parse(request.path)
        if route.subresource:
            return await self._subresources.answer(route, request)
        return await self._answer(route, request)

    async def _answer(self, route: Route, request: Request) -> Response:
        match (request.method, bool(route.name)):
            case ("GET", named):
                if request.flag("watch"):
                    return self._reader.watch(route, request)
                read = self._reader.get if named else self._reader.list
                return read(route, request)
            case ("POST", False):
                return await self._verbs.create(route, request)
            case ("PUT", True):
                return await self._verbs.replace(route, request)
            case ("PATCH", True):
                return await self._verbs.patch(route, request)
            case ("DELETE", True):
                return await self._verbs.delete(route, request)
            case ("DELETE", False):
                return await self._verbs.delete_collection(route, request)
        raise MethodNotAllowed


def _quoted(text: str) -> str:
    """Text inside a quoted string of a header (RFC 9110, 5.6.4): no control characters."""
    clean = "".join(char if char.isprintable() else " " for char in text)
    return clean.replace("\\", "\\\\").replace('"', '\\"')
