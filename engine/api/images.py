"""What is in images, and work on them, passed on from who has the store.

    GET    /podarium/v1/images/REF/layers
    GET    /podarium/v1/images/REF/tree?path=&layer=&since=&depth=&changed=&sort=size&offset=&limit=
    GET    /podarium/v1/images/REF/waste?same=&offset=&limit=
    GET    /podarium/v1/images/REF/which?path=
    GET    /podarium/v1/images/REF/diff?to=REF, or ?namespace=&pod=&container=, &offset=&limit=
    GET    /podarium/v1/images/REF/file?path=&layer=&offset=&limit=    its bytes
    POST   /podarium/v1/images/REF/pull?platform=, push?to=            a stream of events
    DELETE /podarium/v1/images/REF                                     the same
    POST   /podarium/v1/images/prune                                   the same

REF may have slashes: the last word of the path is the verb.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from engine.api.begun import Begun
from engine.api.gateway import ImageGateway, TreeOptions
from engine.api.request import Request, Response
from engine.types.codec import encode
from engine.types.core import Pod
from engine.types.imagework import ImageEvent
from engine.types.status import BadRequest, MethodNotAllowed

PAGE = 1000
MOST = 100_000
FILE_MOST = 1 << 20


class Images:
    """`reach` gives the gateway, or raises ServiceUnavailable; `pod` finds a pod or raises
    NotFound."""

    def __init__(self, reach: Callable[[], ImageGateway], pod: Callable[[str, str], Pod]) -> None:
        self._reach = reach
        self._pod = pod

    async def answer(self, parts: list[str], request: Request) -> Response | None:
        """None when the path is none of these. Raise StatusError."""
        match parts:
            case ["podarium", "v1", "images", "prune"]:
                _only(request, "POST")
                return await _stream(self._reach().prune())
            case ["podarium", "v1", "images", _, *_] if request.method == "DELETE":
                return await _stream(self._reach().remove("/".join(parts[3:])))
            case ["podarium", "v1", "images", *reference, ("pull" | "push") as verb] if reference:
                _only(request, "POST")
                return await self._move("/".join(reference), verb, request)
            case ["podarium", "v1", "images", *reference, verb] if reference:
                _only(request, "GET")
                return await self._look("/".join(reference), verb, request)
        return None

    async def _move(self, reference: str, verb: str, request: Request) -> Response:
        if verb == "pull":
            return await _stream(self._reach().pull(reference, request.query.get("platform", "")))
        return await _stream(self._reach().push(reference, request.query.get("to", "")))

    async def _look(self, reference: str, verb: str, request: Request) -> Response | None:
        images = self._reach()
        match verb:
            case "layers":
                return Response.of(await images.layers(reference))
            case "tree":
                return Response.of(await images.tree(reference, _options(request)))
            case "waste":
                offset, limit = _page(request)
                same = request.flag("same")
                return Response.of(
                    await images.waste(reference, same=same, offset=offset, limit=limit)
                )
            case "which":
                return Response.of(await images.which(reference, _path(request)))
            case "diff":
                return Response.of(await self._diff(reference, request))
            case "file":
                limit = _number(request, "limit", 1, FILE_MOST) or FILE_MOST
                data = await images.read(
                    reference,
                    _path(request),
                    layer=_number(request, "layer", 1),
                    offset=_number(request, "offset", 0) or 0,
                    limit=limit,
                )
                return Response(200, data, "application/octet-stream")
        return None

    async def _diff(self, reference: str, request: Request) -> object:
        offset, limit = _page(request)
        to, name = request.query.get("to", ""), request.query.get("pod", "")
        if bool(to) == bool(name):
            raise BadRequest("exactly one of `to` and `pod` must be specified")
        if to:
            return await self._reach().diff(reference, to, offset=offset, limit=limit)
        pod = self._pod(request.query.get("namespace", "default"), name)
        container = request.query.get("container", "") or pod.spec.containers[0].name
        return await self._reach().diff_container(
            reference, pod, container, offset=offset, limit=limit
        )


def _options(request: Request) -> TreeOptions:
    offset, limit = _page(request)
    sort = request.query.get("sort", "name")
    if sort not in ("name", "size"):
        raise BadRequest(f"sort: {sort!r} is neither name nor size")
    return TreeOptions(
        path=request.query.get("path", "/"),
        layer=_number(request, "layer", 1),
        since=_number(request, "since", 0),
        depth=_number(request, "depth", 1, 100) or 1,
        changed=request.flag("changed"),
        by_size=sort == "size",
        offset=offset,
        limit=limit,
    )


def _page(request: Request) -> tuple[int, int]:
    offset = _number(request, "offset", 0) or 0
    return offset, min(_number(request, "limit", 1) or PAGE, MOST)


def _number(request: Request, name: str, least: int, most: int | None = None) -> int | None:
    value = request.number(name)
    if value is not None and value < least:
        raise BadRequest(f"{name}: Invalid value: {value}: must be at least {least}")
    return min(value, most) if value is not None and most is not None else value


def _path(request: Request) -> str:
    path = request.query.get("path", "")
    if not path:
        raise BadRequest("path: must be specified")
    return path


def _only(request: Request, method: str) -> None:
    if request.method != method:
        raise MethodNotAllowed


async def _stream(events: AsyncIterator[ImageEvent]) -> Response:
    """What fails at once is an answer; what fails later is the last event."""
    return Response(200, await Begun.begin(_lines(events)), "application/x-ndjson")


async def _lines(events: AsyncIterator[ImageEvent]) -> AsyncIterator[bytes]:
    async for event in events:
        yield encode(event) + b"\n"
