"""Containers' files, passed on from who has them.

GET  /podarium/v1/namespaces/NS/pods/POD/containers/C/changes?limit=
GET  /podarium/v1/namespaces/NS/pods/POD/containers/C/export          tar
GET  /podarium/v1/namespaces/NS/pods/POD/containers/C/archive?path=   tar
PUT  /podarium/v1/namespaces/NS/pods/POD/containers/C/archive?path=&owner=keep   takes tar
POST /podarium/v1/namespaces/NS/pods/POD/containers/C/commit          takes CommitOptions
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from engine.api.begun import Begun
from engine.api.gateway import FilesGateway
from engine.api.request import TAR, Request, Response
from engine.types import codec
from engine.types.containerfiles import CommitOptions
from engine.types.core import Pod
from engine.types.status import BadRequest, MethodNotAllowed, UnsupportedMediaType

MOST = 100_000


class Files:
    """`reach` gives the gateway, or raises ServiceUnavailable; `find` finds a pod that has a
    container of that name, or raises StatusError."""

    def __init__(
        self, reach: Callable[[], FilesGateway], find: Callable[[str, str, str], Pod]
    ) -> None:
        self._reach = reach
        self._find = find

    async def answer(self, parts: list[str], request: Request) -> Response | None:
        """None when the path is none of these. Raise StatusError."""
        match parts:
            case [
                "podarium",
                "v1",
                "namespaces",
                namespace,
                "pods",
                name,
                "containers",
                container,
                "changes" | "export" | "archive" | "commit" as verb,
            ]:
                pod = self._find(namespace, name, container)
                return await self._do(verb, pod, container, request)
        return None

    async def _do(self, verb: str, pod: Pod, container: str, request: Request) -> Response:
        files = self._reach()
        match (request.method, verb):
            case ("GET", "changes"):
                asked = request.number("limit")
                limit = MOST if asked is None else asked
                if not 1 <= limit <= MOST:
                    raise BadRequest(f"limit: Invalid value: {limit}: must be 1 to {MOST}")
                return Response.of(await files.changes(pod, container, limit))
            case ("GET", "export"):
                return Response(200, await Begun.begin(files.export(pod, container)), TAR)
            case ("GET", "archive"):
                stream = files.archive(pod, container, _path(request))
                return Response(200, await Begun.begin(stream), TAR)
            case ("PUT", "archive"):
                if request.stream is None:
                    raise UnsupportedMediaType([TAR])
                keep = request.query.get("owner") == "keep"
                path, body = _path(request), request.stream
                return Response.of(await files.place(pod, container, path, body, keep_owner=keep))
            case ("POST", "commit"):
                try:
                    options = codec.decode(CommitOptions, request.body)
                except msgspec.MsgspecError as error:
                    raise BadRequest(f"commit: {error}") from None
                return Response.of(await files.commit(pod, container, options), 201)
        raise MethodNotAllowed


def _path(request: Request) -> str:
    path = request.query.get("path", "")
    if not path.startswith("/") or "\0" in path:
        raise BadRequest(f"path: Invalid value: {path!r}: must be an absolute path")
    return path
