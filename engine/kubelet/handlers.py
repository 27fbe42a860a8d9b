"""Asking something of a running container: run a command, GET a page, open a connection.

Probes and lifecycle hooks are made of these. Network questions are asked from inside the node's
network, where the pod's address is. The texts are those that Kubernetes puts into its events.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from engine.runtime.runtime import Runtime, RuntimeFailure
from engine.types.containers import Container, ExecAction, HTTPGetAction, TCPSocketAction

USER_AGENT = "kube-probe/1.34"
_HEADERS_MAX = 64 * 1024


class Outcome(NamedTuple):
    ok: bool
    message: str = ""


class Handlers:
    """Questions to one life of one container."""

    def __init__(self, runtime: Runtime, container: Container, id: str, pod_ip: str) -> None:
        self._runtime = runtime
        self._container = container
        self._id = id
        self.pod_ip = pod_ip

    async def exec(self, action: ExecAction, timeout_s: float) -> Outcome:
        try:
            result = await self._runtime.exec(self._id, action.command, timeout_s=timeout_s)
        except (RuntimeFailure, OSError) as error:
            return Outcome(False, str(error))
        if result.timed_out:
            command = " ".join(action.command)
            return Outcome(False, f'command timed out: "{command}" timed out after {timeout_s:g}s')
        return Outcome(result.exit_code == 0, result.output.decode(errors="replace").rstrip("\n"))

    async def tcp(self, action: TCPSocketAction, timeout_s: float) -> Outcome:
        host, port = action.host or self.pod_ip, self.port(action.port)
        try:
            async with asyncio.timeout(timeout_s):
                sock = await self._runtime.dial(host, port, timeout_s)
        except TimeoutError:
            return Outcome(False, f"dial tcp {host}:{port}: i/o timeout")
        except RuntimeFailure as error:
            return Outcome(False, str(error))
        except OSError as error:
            return Outcome(False, f"dial tcp {host}:{port}: connect: {_words(error)}")
        sock.close()
        return Outcome(True)

    async def http(self, action: HTTPGetAction, timeout_s: float) -> Outcome:
        host, port = action.host or self.pod_ip, self.port(action.port)
        scheme = (action.scheme or "HTTP").lower()
        path = action.path if action.path.startswith("/") else "/" + action.path
        url = f"{scheme}://{host}:{port}{path}"
        try:
            async with asyncio.timeout(timeout_s):
                async with self._connection(host, port, scheme, timeout_s) as (reader, writer):
                    writer.write(_request(path, f"{host}:{port}", action))
                    status = _status(await reader.readline())
        except TimeoutError:
            return Outcome(False, f'Get "{url}": context deadline exceeded')
        except ConnectionResetError as error:
            return Outcome(False, f'Get "{url}": {_words(error)}')
        except OSError as error:
            return Outcome(False, f'Get "{url}": dial tcp {host}:{port}: connect: {_words(error)}')
        except (RuntimeFailure, ValueError) as error:
            return Outcome(False, f'Get "{url}": {error}')
        if 200 <= status < 400:
            return Outcome(True)
        return Outcome(False, f"HTTP probe failed with statuscode: {status}")

    @asynccontextmanager
    async def _connection(
        self, host: str, port: int, scheme: str, timeout_s: float
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        sock = await self._runtime.dial(host, port, timeout_s)
        sock.setblocking(False)
        reader, writer = await asyncio.open_connection(
            sock=sock,
            limit=_HEADERS_MAX,
            ssl=_unverified() if scheme == "https" else None,
            server_hostname=host if scheme == "https" else None,
        )
        try:
            yield reader, writer
        finally:
            writer.close()

    def port(self, port: int | str) -> int:
        """A port by number or by its name in the container.

        Raise ValueError for an unknown name.
        """
        if isinstance(port, int) or port.isdecimal():
            return int(port)
        for declared in self._container.ports:
            if declared.name == port:
                return declared.container_port
        raise ValueError(f"container {self._container.name} has no port named {port!r}")


def _unverified() -> ssl.SSLContext:
    """A probe asks whether the server lives, not who it is: the kubelet does not verify either."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _request(path: str, authority: str, action: HTTPGetAction) -> bytes:
    headers = {"Host": authority, "User-Agent": USER_AGENT, "Accept": "*/*"}
    headers |= {header.name: header.value for header in action.http_headers}
    lines = [f"GET {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1", "replace")


def _status(line: bytes) -> int:
    fields = line.split(None, 2)
    if len(fields) < 2 or not fields[0].startswith(b"HTTP/") or not fields[1].isdigit():
        shown = line[:64].decode(errors="replace")
        raise ValueError(f"malformed HTTP response {shown!r}" if line else "EOF")
    return int(fields[1])


def _words(error: OSError) -> str:
    # The kernel's words: asyncio puts its own ("Connect call failed") in their place.
    return os.strerror(error.errno).lower() if error.errno else str(error)
