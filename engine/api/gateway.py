"""What the API asks of nodes: a pod's log, a container's anatomy, everyone's statistics.

The API knows nodes only by this protocol; whoever composes the cluster gives it an implementation.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

from engine.types.core import Pod
from engine.types.stats import Tick


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What of a log is wanted: the whole of it by default.

    `tail` counts lines from the end, `since` is unix seconds, `previous` means the container's last
    life before this one.
    """

    follow: bool = False
    previous: bool = False
    tail: int | None = None
    since: float | None = None
    timestamps: bool = False
    limit_bytes: int | None = None


class NodeGateway(Protocol):
    """Every node of the cluster, reached by the pods they run."""

    def logs(self, pod: Pod, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        """Chunks of the log as the container wrote them; raise StatusError when there is none."""
        ...

    async def anatomy(self, pod: Pod, container: str) -> dict[str, Any]:
        """The container's namespaces, cgroup, mounts and layers, as JSON data."""
        ...

    def stats(self, history: int) -> AsyncIterator[Tick]:
        """The last `history` ticks, then one each second."""
        ...
