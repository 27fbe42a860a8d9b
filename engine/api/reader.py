"""Get, list and watch: answers made from the store without waiting for anything."""

from __future__ import annotations

from engine.api.form import Form, choose
from engine.api.request import Request, Response
from engine.api.route import Route
from engine.api.selection import Selection
from engine.api.watch import Hub, Start
from engine.api.writer import key_of
from engine.store.entry import Compacted, Future
from engine.store.store import Store
from engine.types.clock import Clock
from engine.types.codec import encode
from engine.types.status import BadRequest, Cause, Gone, NotFound, StatusError, Timeout


class Reader:
    """Reads objects for clients, in the form that each accepts."""

    def __init__(self, store: Store, hub: Hub, now: Clock) -> None:
        self._store = store
        self._hub = hub
        self._now = now

    def get(self, route: Route, request: Request) -> Response:
        """Raise NotFound or NotAcceptable."""
        form = self._form(route, request)
        entry = self._store.get(key_of(route.resource, route.namespace, route.name))
        if entry is None:
            raise NotFound(route.resource.qualified, route.name)
        return Response(200, form.one(entry.value))

    def list(self, route: Route, request: Request) -> Response:
        """Always whole: `limit` only allows a server to send less. Raise BadRequest or Gone."""
        form = self._form(route, request)
        chosen = self._selection(route, request)
        at = self._list_revision(request)
        try:
            entries = self._store.scan(route.resource.key, route.namespace, at=at)
        except Compacted as error:
            raise Gone(error.revision, error.oldest) from error
        values = [entry.value for entry in entries if chosen.matches(entry)]
        return Response(200, form.many(values, self._store.revision if at is None else at))

    def watch(self, route: Route, request: Request) -> Response:
        """A stream that begins where the client left off, or with all there is."""
        form = self._form(route, request)
        chosen = self._selection(route, request)
        start = self._start(request)
        try:
            stream = self._hub.watch(route.resource, route.namespace, chosen, form, start)
        except Compacted as error:
            # As from Kubernetes' watch cache: the watch itself begins, and tells that it cannot.
            gone = Gone(error.revision, error.oldest)
            return Response(200, b'{"type":"ERROR","object":%s}\n' % encode(gone.to_status()))
        except Future as error:
            raise _too_large(error.revision, error.current) from error
        return Response(200, stream)

    def _form(self, route: Route, request: Request) -> Form:
        accept = request.headers.get("accept", "")
        return choose(accept, route.resource, request.query.get("includeObject", ""), self._now)

    def _selection(self, route: Route, request: Request) -> Selection:
        query = request.query
        by_field = query.get("fieldSelector", "")
        if route.name:  # a watch of one object
            by_field = f"metadata.name={route.name},{by_field}".rstrip(",")
        return Selection(route.resource, query.get("labelSelector", ""), by_field)

    def _list_revision(self, request: Request) -> int | None:
        revision = _revision(request)
        if revision and revision > self._store.revision:
            raise _too_large(revision, self._store.revision)
        match = request.query.get("resourceVersionMatch", "")
        if match not in ("", "Exact", "NotOlderThan"):
            raise BadRequest(
                f'resourceVersionMatch: Unsupported value: "{match}": supported values: "Exact",'
                ' "NotOlderThan"'
            )
        if match and revision is None:
            raise BadRequest(
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless"
                " resourceVersion is provided"
            )
        if match == "Exact" and not revision:
            raise BadRequest(
                'resourceVersionMatch: Forbidden: resourceVersionMatch "Exact" is forbidden for'
                ' resourceVersion "0"'
            )
        return revision if match == "Exact" else None

    def _start(self, request: Request) -> Start:
        revision = _revision(request)
        timeout = request.number("timeoutSeconds")
        bookmarks = request.flag("allowWatchBookmarks")
        initial = request.query.get("sendInitialEvents")
        if initial is not None:
            if request.query.get("resourceVersionMatch") != "NotOlderThan":
                raise BadRequest(
                    "resourceVersionMatch: Forbidden: sendInitialEvents requires setting"
                    " resourceVersionMatch to NotOlderThan"
                )
            if revision and revision > self._store.revision:
                raise _too_large(revision, self._store.revision)
            if request.flag("sendInitialEvents"):
                return Start(None, initial_end=bookmarks, bookmarks=bookmarks, timeout=timeout)
            return Start(revision or self._store.revision, bookmarks=bookmarks, timeout=timeout)
        # Without a revision, and from 0, a watch begins with all there is ("get state and start").
        return Start(revision or None, bookmarks=bookmarks, timeout=timeout)


def _revision(request: Request) -> int | None:
    text = request.query.get("resourceVersion", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise BadRequest(f'resourceVersion: Invalid value: "{text}": not a revision of this server')
    return int(text)


def _too_large(revision: int, current: int) -> StatusError:
    return Timeout(
        f"Too large resource version: {revision}, current: {current}",
        causes=[Cause("ResourceVersionTooLarge", "Too large resource version")],
        details={"retryAfterSeconds": 1},
    )
