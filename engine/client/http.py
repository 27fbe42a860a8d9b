"""HTTP to an API server: over a unix socket, or over TCP and TLS as a kubeconfig says."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from engine.client import kubeconfig
from engine.client.credential import Credential, CredentialError, Credentials
from engine.client.errors import KubeconfigError, Unreachable
from engine.client.kubeconfig import Access
from engine.client.transport import Response, error_of
from engine.client.websocket import MESSAGE_MAX, End

CONNECT_SECONDS = 10
ANSWER_SECONDS = 60
UNAUTHORIZED = 401
KEEP_ALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))


class HttpTransport:
    """Requests over HTTP/1.1 with kept connections. Use it in one event loop."""

    def __init__(self, unix: Path | None = None, *, access: Access | None = None) -> None:
        """Speak to the server at a unix socket, or to the one that `access` describes. Raise
        KubeconfigError for certificates that are none."""
        if (unix is None) == (access is None):
            raise TypeError("exactly one of unix and access must be given")
        self._unix = unix
        self._access = access
        self._base = access.server if access else "http://podarium"
        self.endpoint = access.server if access else str(unix)
        self.namespace = access.namespace if access else "default"
        self._options: dict[str, Any] = {"allow_redirects": False}
        if access is not None and access.proxy:
            self._options["proxy"] = access.proxy
        if access is not None and access.tls_server_name:
            self._options["server_hostname"] = access.tls_server_name
        self._tls = None if access is None else _tls(access)
        plugin = access.plugin if access is not None else None
        self._credentials = None if plugin is None else Credentials(plugin)
        self._shown = Credential()
        """The credential whose certificate the session shows."""
        self._session: aiohttp.ClientSession | None = None
        self._streams: set[aiohttp.ClientResponse] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    @classmethod
    def from_kubeconfig(
        cls, path: Path | Sequence[Path] | None = None, context: str | None = None
    ) -> HttpTransport:
        """Speak to the server of a context of the given file(s), else of kubectl's own.

        Raise KubeconfigError.
        """
        if path is None:
            path = kubeconfig.default_paths()
        paths = [path] if isinstance(path, Path) else list(path)
        return cls(access=kubeconfig.read(paths, context))

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
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS)
        used = await self._credential()
        try:
            async with (await self._open(used)).request(
                method,
                self._url(path, query),
                data=body,
                headers=self._headers(used, accept, content_type),
                timeout=timeout,
                **self._options,
            ) as answer:
                headers = {k.lower(): v for k, v in answer.headers.items()}
                found = Response(answer.status, await answer.read(), headers)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unreachable(error) from error
        if found.status == UNAUTHORIZED and self._credentials is not None:
            self._credentials.refused(used)
            if (await self._credential()) != used:
                return await self.request(
                    method, path, query=query, body=body, content_type=content_type, accept=accept
                )
        return found

    async def send(
        self,
        method: str,
        path: str,
        chunks: AsyncIterator[bytes],
        *,
        content_type: str,
        query: Mapping[str, str] | None = None,
    ) -> Response:
        """As request(), with a body of any length, which takes the time it takes."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        used = await self._credential()
        try:
            async with (await self._open(used)).request(
                method,
                self._url(path, query),
                data=chunks,
                headers=self._headers(used, None, content_type),
                timeout=timeout,
                **self._options,
            ) as answer:
                headers = {k.lower(): v for k, v in answer.headers.items()}
                return Response(answer.status, await answer.read(), headers)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unreachable(error) from error

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        accept: str | None = None,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        used = await self._credential()
        try:
            answer = await (await self._open(used)).request(
                method,
                self._url(path, query),
                headers=self._headers(used, accept, None),
                timeout=timeout,
                **self._options,
            )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unreachable(error) from error
        try:
            if not 200 <= answer.status < 300:
                try:
                    body = await asyncio.wait_for(answer.read(), ANSWER_SECONDS)
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    raise self._unreachable(error) from error
                if answer.status == UNAUTHORIZED and self._credentials is not None:
                    self._credentials.refused(used)
                raise error_of(answer.status, body)
            transport = answer.connection.transport if answer.connection is not None else None
            _keep_alive(transport.get_extra_info("socket") if transport is not None else None)
            self._streams.add(answer)
            yield self._chunks(answer)
        finally:
            self._streams.discard(answer)
            answer.close()

    @asynccontextmanager
    async def socket(
        self, path: str, *, query: Sequence[tuple[str, str]], protocols: Sequence[str]
    ) -> AsyncIterator[tuple[End, str]]:
        options = {k: v for k, v in self._options.items() if k != "allow_redirects"}
        used = await self._credential()
        try:
            end = await (await self._open(used)).ws_connect(
                self._url(path, query),
                protocols=protocols,
                headers=self._headers(used, None, None),
                max_msg_size=MESSAGE_MAX,
                timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
                **options,
            )
        except aiohttp.WSServerHandshakeError as error:
            # Which does not hold the answer: asked without a WebSocket, the server tells it again.
            answer = await self.request("GET", f"{path}?{urlencode(query)}")
            raise error_of(error.status, answer.body) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unreachable(error) from error
        try:
            _keep_alive(end.get_extra_info("socket"))
            yield End(end), end.protocol or ""
        finally:
            await end.close()

    async def close(self) -> None:
        # aiohttp closes the connections, but leaves those who read from them waiting for ever.
        for answer in self._streams:
            answer.content.set_exception(ConnectionAbortedError("the client was closed"))
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _chunks(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        try:
            async for chunk in answer.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unreachable(error) from error

    async def _credential(self) -> Credential:
        """What the kubeconfig's program gives; an empty one when it names none."""
        if self._credentials is None:
            return self._shown
        try:
            return await self._credentials.get()
        except CredentialError as error:
            raise Unreachable(self.endpoint, str(error)) from error

    async def _open(self, used: Credential) -> aiohttp.ClientSession:
        if used.certificate != self._shown.certificate and self._session is not None:
            # Connections show the certificate that they were made with.
            await self._session.close()
            self._session = None
        if self._session is None:
            connector: aiohttp.BaseConnector
            if self._unix is not None:
                connector = aiohttp.UnixConnector(str(self._unix), limit=0)
            else:
                assert self._tls is not None
                if used.certificate:
                    try:
                        _load_certificate(self._tls, used.certificate, used.key)
                    except ssl.SSLError as error:
                        raise Unreachable(self.endpoint, f"exec: certificate: {error}") from error
                connector = aiohttp.TCPConnector(limit=0, ssl=self._tls)
            self._shown = used
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "podarium"},
            )
        return self._session

    def _url(self, path: str, query: Mapping[str, str] | Sequence[tuple[str, str]] | None) -> URL:
        text = self._base + path
        return URL(f"{text}?{urlencode(query)}" if query else text, encoded=True)

    def _headers(
        self, used: Credential, accept: str | None, content_type: str | None
    ) -> dict[str, str]:
        headers = {}
        if accept:
            headers["Accept"] = accept
        if content_type:
            headers["Content-Type"] = content_type
        access = self._access
        if access is None:
            return headers
        token = used.token or access.token
        if not token and access.token_file is not None:
            try:
                token = access.token_file.read_text().strip()
            except OSError as error:
                raise KubeconfigError(f"tokenFile {access.token_file}: {error.strerror}") from error
        if token:
            headers["Authorization"] = f"Bearer {token}"
        elif access.username:
            pair = f"{access.username}:{access.password or ''}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        return headers

    def _unreachable(self, error: BaseException) -> Unreachable:
        cause = getattr(error, "os_error", None) or error
        reason = getattr(cause, "strerror", None) or str(cause)
        return Unreachable(self.endpoint, reason or type(cause).__name__)


def _keep_alive(link: socket.socket | None) -> None:
    """Notice within two minutes that a silent stream's server is gone (tcp(7)): a laptop that
    slept, a network that went away."""
    if link is None or link.family not in (socket.AF_INET, socket.AF_INET6):
        return
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEP_ALIVE:
        link.setsockopt(socket.IPPROTO_TCP, option, value)


def _tls(access: Access) -> ssl.SSLContext:
    """Trust what the kubeconfig trusts, and show its certificate."""
    context = ssl.create_default_context()
    try:
        if access.ca is not None:
            context = ssl.create_default_context(cadata=access.ca.decode("ascii"))
            # On by default since Python 3.13; older clusters' own CAs lack the key identifiers of
            # RFC 5280 that it asks for, and kubectl takes them.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if access.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if access.client_certificate and access.client_key:
            _load_certificate(context, access.client_certificate, access.client_key)
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise KubeconfigError(f"context {access.context!r}: certificates: {error}") from error
    return context


def _load_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """The ssl module reads certificates only from files; memory behind a descriptor is one, and
    never reaches a disk."""
    fds = []
    try:
        for content in (certificate, key):
            fd = os.memfd_create("podarium-tls", os.MFD_CLOEXEC)
            fds.append(fd)
            with open(fd, "wb", closefd=False) as file:
                file.write(content)
        names: list[Any] = [f"/proc/self/fd/{fd}" for fd in fds]
        context.load_cert_chain(*names)
    finally:
        for fd in fds:
            os.close(fd)
