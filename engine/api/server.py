"""The API over HTTP: a unix socket for this machine's root, and TLS on loopback for kubectl.

Only here is aiohttp known. A streaming answer is written as it comes and ends with its client.
Over TLS a client must show a certificate of the cluster's CA; the handshake lets everyone in, so
that who has none gets a 401 that says so instead of a broken connection.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from aiohttp import web

from engine.api.handler import Api
from engine.api.request import TAR, Request, Response
from engine.api.watch import Watcher
from engine.api.websocket import upgrade
from engine.types.status import RequestEntityTooLarge, StatusError, Unauthorized

BACKLOG = 4096  # 1,000 watchers may come at once
BODY_MAX = 3 << 20  # etcd's request limit, and so kube-apiserver's, is 1.5 MiB an object
SHUTDOWN = 2.0


class Server:
    """Any number of listeners before one API."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._runner: web.ServerRunner | None = None
        self._sockets: list[Path] = []
        self._streams: set[asyncio.Task[object]] = set()

    async def listen_unix(self, path: Path) -> None:
        """Listen at `path`, for its owner only; what was there before is replaced."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)
        runner = await self._start()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Before bind(2), which gives the file the socket's mode: private from its first moment
        # on, without a umask that other threads would see.
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(os.fspath(path))
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
        self._sockets.append(path)

    async def listen_tls(self, host: str, port: int, context: ssl.SSLContext) -> int:
        """Listen on `host`; port 0 takes a free one. Return the port; raise OSError if taken."""
        runner = await self._start()
        site = web.TCPSite(runner, host, port, ssl_context=context, backlog=BACKLOG)
        await site.start()
        assert isinstance(site._server, asyncio.Server)
        bound: int = site._server.sockets[0].getsockname()[1]
        return bound

    async def serve_tls(self, listener: socket.socket, context: ssl.SSLContext) -> int:
        """The same on a socket that listens already, and is ours from now on."""
        runner = await self._start()
        await web.SockSite(runner, listener, ssl_context=context, backlog=BACKLOG).start()
        bound: int = listener.getsockname()[1]
        return bound

    async def close(self) -> None:
        """End every connection and stream at once, and remove the sockets."""
        for task in self._streams:
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        for path in self._sockets:
            path.unlink(missing_ok=True)
        self._sockets.clear()

    async def _start(self) -> web.ServerRunner:
        if self._runner is None:
            server = web.Server(self._handle, access_log=None, handler_cancellation=True)
            self._runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN)
            await self._runner.setup()
        return self._runner

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        try:
            _check_certificate(http)
            request = await _read(http)
        except StatusError as error:
            return _whole(Response.failure(error))
        response = await self._api.handle(request)
        if isinstance(response.body, bytes) and response.upgrade is None:
            return _whole(response)
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        try:
            if response.upgrade is not None:
                return await upgrade(http, response.upgrade)
            assert not isinstance(response.body, bytes)
            return await _stream(http, response, response.body)
        finally:
            self._streams.discard(task)


class _Chunked:
    """Writes HTTP/1.1 chunks (RFC 9112, 7.1); what goes to many is framed once."""

    last: tuple[bytes, bytes] = (b"", b"")

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport

    def write(self, chunk: bytes) -> None:
        if _Chunked.last[0] is not chunk:
            _Chunked.last = (chunk, b"%x\r\n%b\r\n" % (len(chunk), chunk))
        self._transport.write(_Chunked.last[1])

    def backlog(self) -> int:
        return self._transport.get_write_buffer_size()


def _check_certificate(http: web.BaseRequest) -> None:
    transport = http.transport
    if transport is None or transport.get_extra_info("sslcontext") is None:
        return
    if not transport.get_extra_info("peercert"):
        raise Unauthorized


async def _read(http: web.BaseRequest) -> Request:
    request = Request(http.method, http.path)
    if http.can_read_body and http.content_type == TAR:
        request.stream = http.content.iter_any()
    else:
        request.body = await _body(http)
    request.headers = {name.lower(): value for name, value in http.headers.items()}
    repeated = {name: http.query.getall(name) for name in http.query}
    request.query = {name: values[0] for name, values in repeated.items()}
    request.repeated = {name: values for name, values in repeated.items() if len(values) > 1}
    request.protocols = _protocols(request.headers)
    return request


async def _body(http: web.BaseRequest) -> bytes:
    if (http.content_length or 0) > BODY_MAX:
        raise RequestEntityTooLarge(BODY_MAX)
    if not http.can_read_body:
        return b""
    chunks, size = [], 0
    async for chunk in http.content.iter_any():
        size += len(chunk)
        if size > BODY_MAX:
            raise RequestEntityTooLarge(BODY_MAX)
        chunks.append(chunk)
    return b"".join(chunks)


def _protocols(headers: Mapping[str, str]) -> list[str] | None:
    if headers.get("upgrade", "").lower() != "websocket":
        return None
    offered = headers.get("sec-websocket-protocol", "")
    return [name.strip() for name in offered.split(",") if name.strip()]


def _whole(response: Response) -> web.Response:
    assert isinstance(response.body, bytes)
    headers = {"Content-Type": response.content_type, **response.headers}
    return web.Response(status=response.status, body=response.body, headers=headers)


async def _stream(
    http: web.BaseRequest, response: Response, body: AsyncIterator[bytes]
) -> web.StreamResponse:
    headers = {"Content-Type": response.content_type, **response.headers}
    answer = web.StreamResponse(status=response.status, headers=headers)
    answer.enable_chunked_encoding()
    try:
        await answer.prepare(http)
        if isinstance(body, Watcher) and http.transport is not None:
            # A thousand watchers are a thousand writes and no task switch.
            await body.send_to(_Chunked(http.transport))
        else:
            async for chunk in body:
                await answer.write(chunk)
        await answer.write_eof()
    except ConnectionError:
        pass  # the client has what it wanted
    finally:
        close = getattr(body, "aclose", None)
        if close is not None:
            await close()
    return answer
