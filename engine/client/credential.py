"""Credentials that a program gives: the `exec` users of a kubeconfig, as cloud clusters and OIDC
logins have them (client.authentication.k8s.io/v1 and v1beta1).

The program is run when there is no credential, when the last one expires, and after the server
refused it. It gets no terminal: that is the dashboard's.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.types import clock

VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
RUN_SECONDS = 60
EARLY_SECONDS = 10
"""How long before it expires a credential is renewed."""


class CredentialError(Exception):
    """The program gave no credential; the message says which, why, and the way out."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """An `exec` entry. `folder`: of its kubeconfig, from which a relative command counts."""

    command: str
    args: tuple[str, ...]
    env: dict[str, str]
    version: str
    hint: str
    folder: Path
    cluster: dict[str, Any] | None
    """What it is told of the cluster, when it asks for that."""

    @property
    def path(self) -> str:
        """A bare name is looked for on PATH."""
        return str(self.folder / self.command) if "/" in self.command else self.command


@dataclass(frozen=True, slots=True)
class Credential:
    """`expires` in Unix seconds, None for never."""

    token: str = ""
    certificate: bytes = b""
    key: bytes = b""
    expires: float | None = None


class Credentials:
    """Of one plugin, kept while they are good."""

    def __init__(self, plugin: Plugin, now: Callable[[], float] = time.time) -> None:
        self._plugin = plugin
        self._now = now
        self._known: Credential | None = None
        self._lock = asyncio.Lock()

    async def get(self) -> Credential:
        """The one that is good now; many who ask at once wait for one run. Raise
        CredentialError."""
        async with self._lock:
            known = self._known
            if known is None or (
                known.expires is not None and known.expires - EARLY_SECONDS <= self._now()
            ):
                self._known = known = await _run(self._plugin)
            return known

    def refused(self, credential: Credential) -> None:
        """The server does not take it: run the program again before the next request."""
        if self._known is credential:
            self._known = None


async def _run(plugin: Plugin) -> Credential:
    spec: dict[str, Any] = {"interactive": False}
    if plugin.cluster is not None:
        spec["cluster"] = plugin.cluster
    asked = {"apiVersion": plugin.version, "kind": "ExecCredential", "spec": spec}
    env = os.environ | plugin.env | {"KUBERNETES_EXEC_INFO": json.dumps(asked)}
    try:
        process = await asyncio.create_subprocess_exec(
            plugin.path,
            *plugin.args,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=env,
        )
    except OSError as error:
        hint = f"; {plugin.hint}" if plugin.hint else ""
        raise CredentialError(f"exec {plugin.command}: {error.strerror}{hint}") from None
    try:
        async with asyncio.timeout(RUN_SECONDS):
            out, err = await process.communicate()
    except TimeoutError:
        raise CredentialError(
            f"exec {plugin.command}: no answer within {RUN_SECONDS} s; run it by hand once, as it"
            " may want to ask something"
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        said = err.decode(errors="replace").strip().splitlines()
        words = f": {said[-1]}" if said else ""
        raise CredentialError(f"exec {plugin.command}: exit code {process.returncode}{words}")
    return parse(plugin, out)


def parse(plugin: Plugin, out: bytes) -> Credential:
    """What the program wrote. Raise CredentialError."""
    try:
        found = json.loads(out)
        version, status = found["apiVersion"], found["status"]
        token = str(status.get("token") or "")
        certificate = str(status.get("clientCertificateData") or "").encode()
        key = str(status.get("clientKeyData") or "").encode()
        until = status.get("expirationTimestamp")
        expires = clock.parse(until) if until else None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CredentialError(f"exec {plugin.command}: it wrote no ExecCredential") from None
    if version != plugin.version:
        raise CredentialError(
            f"exec {plugin.command}: apiVersion {version!r}, where {plugin.version!r} was asked for"
        )
    if bool(certificate) != bool(key) or not (token or certificate):
        raise CredentialError(
            f"exec {plugin.command}: neither a token nor a certificate with its key"
        )
    return Credential(token, certificate, key, expires)
