"""What can go wrong between a client and the API besides the API's own answers
(engine.types.status)."""

from __future__ import annotations


class Unreachable(ConnectionError):
    """The server cannot be reached, or the connection broke. Trying again later may help."""

    def __init__(self, endpoint: str, reason: object) -> None:
        self.endpoint = endpoint
        self.reason = str(reason) or type(reason).__name__
        super().__init__(f"cannot reach {endpoint}: {self.reason}")


class KubeconfigError(ValueError):
    """A kubeconfig that cannot be used; the message names the file and the entry."""
