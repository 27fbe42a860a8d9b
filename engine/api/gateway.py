"""What the API asks of nodes: a pod's log, sessions in its containers, connections to its ports, a
container's anatomy, everyone's statistics, the images they share.

The API knows nodes only by this protocol; whoever composes the cluster gives it an implementation.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine.types.containerfiles import CommitOptions, Committed, FileChanges, Placed
from engine.types.core import Pod
from engine.types.explored import Difference, Layers, TreePage, WasteReport, Which
from engine.types.imagework import ImageEvent
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


class Output(Protocol):
    """What a process says."""

    async def read(self) -> bytes:
        """Some bytes; b"" at the end."""
        ...


class Session(Protocol):
    """A conversation with a process. `outputs`: "stdout" and, without a terminal, "stderr"."""

    @property
    def outputs(self) -> Mapping[str, Output]: ...

    async def write(self, data: bytes) -> None:
        """To its input, in its own time."""
        ...

    def end_input(self) -> None:
        """It reads the end."""
        ...

    def resize(self, columns: int, rows: int) -> None:
        """Its terminal, if it has one."""
        ...

    async def wait(self) -> int | None:
        """The exit code, once the outputs have ended; None for a process only attached to."""
        ...

    def close(self) -> None:
        """End what was executed."""
        ...


@dataclass(frozen=True, slots=True)
class TreeOptions:
    """Which part of an image's tree is wanted, and how.

    `layer` is the topmost that is looked at (None: the last), `since` the one it is compared with
    (None: nothing is marked). With `changed` only what differs, at any depth.
    """

    path: str = "/"
    layer: int | None = None
    since: int | None = None
    depth: int = 1
    changed: bool = False
    by_size: bool = False
    offset: int = 0
    limit: int = 1000


class ImageGateway(Protocol):
    """The images that all nodes of the machine share. All raise StatusError."""

    async def layers(self, reference: str) -> Layers:
        """Its layers and its history."""
        ...

    async def tree(self, reference: str, options: TreeOptions) -> TreePage:
        """Names in one of its directories."""
        ...

    async def waste(self, reference: str, *, same: bool, offset: int, limit: int) -> WasteReport:
        """What it wastes; with `same` also which of its files are equal."""
        ...

    async def which(self, reference: str, path: str) -> Which:
        """Which layers have a path."""
        ...

    async def diff(self, base: str, now: str, *, offset: int, limit: int) -> Difference:
        """What differs between two images."""
        ...

    async def diff_container(
        self, base: str, pod: Pod, container: str, *, offset: int, limit: int
    ) -> Difference:
        """What a container has that differs from an image."""
        ...

    async def read(
        self, reference: str, path: str, *, layer: int | None, offset: int, limit: int
    ) -> bytes:
        """Some of a file's bytes, as a container or just one layer has it."""
        ...

    def pull(self, reference: str, platform: str) -> AsyncIterator[ImageEvent]:
        """Get it from its registry; leaving the stream ends the transfer, and loses nothing."""
        ...

    def push(self, reference: str, destination: str) -> AsyncIterator[ImageEvent]:
        """Give it to a registry, under its own name or another."""
        ...

    def remove(self, reference: str) -> AsyncIterator[ImageEvent]:
        """Forget a name, and with an image's last one the image."""
        ...

    def prune(self) -> AsyncIterator[ImageEvent]:
        """Remove what no image needs."""
        ...


class FilesGateway(Protocol):
    """The files of the nodes' containers. All raise StatusError."""

    async def changes(self, pod: Pod, container: str, limit: int) -> FileChanges:
        """What differs from the container's image."""
        ...

    def export(self, pod: Pod, container: str) -> AsyncIterator[bytes]:
        """The whole root filesystem as tar."""
        ...

    def archive(self, pod: Pod, container: str, path: str) -> AsyncIterator[bytes]:
        """What lies at a path in a running container, as tar."""
        ...

    async def place(
        self, pod: Pod, container: str, path: str, body: AsyncIterator[bytes], *, keep_owner: bool
    ) -> Placed:
        """Put the members of a tar stream at a path in a running container."""
        ...

    async def commit(self, pod: Pod, container: str, options: CommitOptions) -> Committed:
        """Make an image of what a container changed."""
        ...


class NodeGateway(Protocol):
    """Every node of the cluster, reached by the pods they run."""

    @property
    def images(self) -> ImageGateway: ...

    @property
    def files(self) -> FilesGateway: ...

    def logs(self, pod: Pod, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        """Chunks of the log as the container wrote them; raise StatusError when there is none."""
        ...

    async def anatomy(self, pod: Pod, container: str) -> dict[str, Any]:
        """The container's namespaces, cgroup, mounts and layers, as JSON data."""
        ...

    async def trace(self, pod: Pod, container: str) -> dict[str, Any]:
        """Each step of the container's start: phase, operation, object, text, the shell command
        that does the same, microseconds; as JSON data. Raise StatusError."""
        ...

    async def exec(
        self, pod: Pod, container: str, command: Sequence[str], *, terminal: bool, stdin: bool
    ) -> Session:
        """Run a command in a container that runs; raise StatusError."""
        ...

    async def attach(self, pod: Pod, container: str, *, stdin: bool) -> Session:
        """Join a container's first process; raise StatusError."""
        ...

    async def dial(self, pod: Pod, port: int) -> socket.socket:
        """A connection to a port on the pod's loopback; raise StatusError."""
        ...

    def recent(self, count: int) -> list[Tick]:
        """The last ticks, oldest first."""
        ...

    def stats(self, history: int) -> AsyncIterator[Tick]:
        """The last `history` ticks, then one each second."""
        ...
