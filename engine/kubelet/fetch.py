"""One HTTP GET from inside a node's network, as far as a probe needs it: the status, and where to.

Not aiohttp: its connections cannot begin with a socket that somebody else opened.
"""

import asyncio
import functools
import ssl
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import SplitResult

from engine.runtime.runtime import Runtime

USER_AGENT = "kube-probe/1.34"
_HEAD_MAX = 64 * 1024
PORTS = {"http": 80, "https": 443}


class Answer(NamedTuple):
    """`location` is where a redirect leads; empty for any other answer."""

    status: int
    location: str


async def get(
    runtime: Runtime, url: SplitResult, headers: Mapping[str, str], timeout_s: float
) -> Answer:
    """Raise ValueError for an answer that is not HTTP, OSError, TimeoutError, RuntimeFailure."""
    host = url.hostname or ""
    sock = await runtime.dial(host, url.port or PORTS[url.scheme], timeout_s)
    secure = url.scheme == "https"
    reader, writer = await asyncio.open_connection(
        sock=sock,
        limit=_HEAD_MAX,
        ssl=_unverified() if secure else None,
        server_hostname=host if secure else None,
    )
    try:
        writer.write(_request(url, headers))
        status = _status(await reader.readline())
        return Answer(status, await _location(reader) if 300 <= status < 400 else "")
    finally:
        writer.close()


@functools.cache
def _unverified() -> ssl.SSLContext:
    """A probe asks whether the server lives, not who it is: the kubelet does not verify either."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _request(url: SplitResult, headers: Mapping[str, str]) -> bytes:
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    sent = {"Host": url.netloc, "User-Agent": USER_AGENT, "Accept": "*/*", **headers}
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1", "replace")


def _status(line: bytes) -> int:
    fields = line.split(None, 2)
    if len(fields) < 2 or not fields[0].startswith(b"HTTP/") or not fields[1].isdigit():
        shown = line[:64].decode(errors="replace")
        raise ValueError(f"malformed HTTP response {shown!r}" if line else "EOF")
    return int(fields[1])


async def _location(reader: asyncio.StreamReader) -> str:
    while line := (await reader.readline()).strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"location":
            return value.strip().decode("latin-1")
    return ""
