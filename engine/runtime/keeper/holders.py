"""Engines that hold duplicates of what a keeper has, so that its death is not the containers' end.

A pipe whose last reading end is closed kills who writes to it, and a namespace that nobody is in or
holds is gone. So every descriptor that another keeper would need is sent to each holder, as
systemd's FDSTORE does, with the facts that belong to it; and let go in the same order.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from engine.runtime.keeper.client import Client


class Holders:
    """Those who have asked for it. What is held has a kind and an id."""

    def __init__(self) -> None:
        self._clients: set[Client] = set()

    def __contains__(self, client: Client) -> bool:
        return client in self._clients

    def add(self, client: Client) -> None:
        self._clients.add(client)

    def discard(self, client: Client) -> None:
        self._clients.discard(client)

    def keep(self, kind: str, id: str, facts: dict[str, Any], fds: dict[str, int]) -> None:
        """`fds` by name; they stay ours."""
        for client in self._clients:
            send(client, kind, id, facts, fds)

    def let_go(self, kind: str, id: str, *names: str) -> None:
        """All of it, or only the descriptors of these names."""
        for client in self._clients:
            client.send(0, "let-go", kind, id, names)


def send(client: Client, kind: str, id: str, facts: dict[str, Any], fds: dict[str, int]) -> None:
    """Let one holder have it."""
    client.send(0, "keep", kind, id, facts, tuple(fds), fds=tuple(fds.values()))
