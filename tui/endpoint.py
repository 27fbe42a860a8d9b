"""Where the cluster's API is: a unix socket of an engine here, or what a kubeconfig names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from engine.client.transport import Dialer, Transport

    class Connection(Transport, Dialer, Protocol):
        """Answers requests, and can become a conversation with a process."""


@dataclass(frozen=True)
class Endpoint:
    """Exactly one of `unix` and `kubeconfig` is set."""

    unix: Path | None = None
    kubeconfig: Path | None = None
    context: str | None = None

    def connection(self) -> Connection:
        """A connection to it; nothing is sent yet."""
        from engine.client.http import HttpTransport

        if self.unix is not None:
            return HttpTransport(self.unix)
        if self.kubeconfig is None:
            raise ValueError("endpoint: neither a unix socket nor a kubeconfig is given")
        return HttpTransport.from_kubeconfig(self.kubeconfig, self.context)
