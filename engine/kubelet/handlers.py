"""Asking something of a running container: run a command, GET a page, open a connection.

Probes and lifecycle hooks are made of these. Network questions are asked from inside the node's
network, where the pod's address is. The texts are those that Kubernetes puts into its events.
"""

import asyncio
import os
import ssl
from typing import NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

from engine.kubelet import fetch
from engine.kubelet.node import LocalNode
from engine.runtime.runtime import KeeperLost, Runtime, RuntimeFailure
from engine.types.containers import Container, ExecAction, HTTPGetAction, TCPSocketAction

REDIRECTS_MAX = 10


class Outcome(NamedTuple):
    ok: bool
    message: str = ""


class Handlers:
    """Questions to one life of one container. They raise KeeperLost when nobody can be asked."""

    def __init__(self, node: LocalNode, container: Container, id: str, pod_ip: str) -> None:
        self._node = node
        self._container = container
        self._id = id
        self.pod_ip = pod_ip

    @property
    def _runtime(self) -> Runtime:
        return self._node.runtime

    async def exec(self, action: ExecAction, timeout_s: float) -> Outcome:
        try:
            result = await self._runtime.exec(self._id, action.command, timeout_s=timeout_s)
        except KeeperLost:
            raise
        except (RuntimeFailure, OSError) as error:
            return Outcome(False, str(error))
        if result.timed_out:
            command = " ".join(action.command)
            return Outcome(False, f'command timed out: "{command}" timed out after {timeout_s:g}s')
        return Outcome(result.exit_code == 0, result.output.decode(errors="replace").rstrip("\n"))

    async def tcp(self, action: TCPSocketAction, timeout_s: float) -> Outcome:
        host = action.host or self.pod_ip
        address = f"{host}:{action.port}"
        try:
            port = self.port(action.port)
            address = f"{host}:{port}"
            async with asyncio.timeout(timeout_s):
                sock = await self._runtime.dial(host, port, timeout_s)
        except TimeoutError:
            return Outcome(False, f"dial tcp {address}: i/o timeout")
        except KeeperLost:
            raise
        except (RuntimeFailure, ValueError) as error:
            return Outcome(False, str(error))
        except OSError as error:
            return Outcome(False, f"dial tcp {address}: connect: {_words(error)}")
        sock.close()
        return Outcome(True)

    async def http(self, action: HTTPGetAction, timeout_s: float) -> Outcome:
        """2xx and 3xx are good. Redirects are followed on the same host, ten at most."""
        scheme = (action.scheme or "HTTP").lower()
        path = action.path if action.path.startswith("/") else "/" + action.path
        headers = {header.name: header.value for header in action.http_headers}
        url = urlsplit(f"{scheme}://{action.host or self.pod_ip}{path}")
        try:
            url = url._replace(netloc=f"{url.hostname}:{self.port(action.port)}")
            async with asyncio.timeout(timeout_s):
                status = await self._follow(url, headers, timeout_s)
        except TimeoutError:
            return Outcome(False, f'Get "{url.geturl()}": context deadline exceeded')
        except ConnectionRefusedError as error:
            why = f"dial tcp {url.netloc}: connect: {_words(error)}"
            return Outcome(False, f'Get "{url.geturl()}": {why}')
        except ssl.SSLError as error:
            return Outcome(False, f'Get "{url.geturl()}": tls: {error.reason}')
        except OSError as error:
            return Outcome(False, f'Get "{url.geturl()}": {_words(error)}')
        except KeeperLost:
            raise
        except (RuntimeFailure, ValueError) as error:
            return Outcome(False, f'Get "{url.geturl()}": {error}')
        if 200 <= status < 400:
            return Outcome(True)
        return Outcome(False, f"HTTP probe failed with statuscode: {status}")

    async def _follow(self, url: SplitResult, headers: dict[str, str], timeout_s: float) -> int:
        for _ in range(REDIRECTS_MAX):
            answer = await fetch.get(self._runtime, url, headers, timeout_s)
            following = urlsplit(urljoin(url.geturl(), answer.location))
            elsewhere = following.hostname != url.hostname or following.scheme not in fetch.PORTS
            if not answer.location or elsewhere:
                return answer.status
            url = following
        raise ValueError(f"stopped after {REDIRECTS_MAX} redirects")

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


def _words(error: OSError) -> str:
    # The kernel's words: asyncio puts its own ("Connect call failed") in their place.
    return os.strerror(error.errno).lower() if error.errno else str(error)
