"""Ports of pods that are reached through ports of this machine, for as long as they are wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.client import forward
from engine.client.errors import Unreachable
from engine.types.core import Pod
from engine.types.status import StatusError

if TYPE_CHECKING:
    from engine.client.transport import Dialer

LOOPBACK = ["127.0.0.1"]
AGAIN_S = 2.0


@dataclass(eq=False)
class Forward:
    """One. `local` is 0 until it is known which port is free."""

    namespace: str
    pod: str
    local: int
    remote: int
    state: str = "connecting"
    """connecting, listening or lost: then it is tried again."""
    problem: str = ""
    """What went wrong last, in words."""
    uid: str = ""
    """The pod's, once it is known: one of the same name that comes later is another."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the pod that it leads to is no more: the tunnel itself may not end."""

    @property
    def id(self) -> str:
        return f"{self.namespace}/{self.pod}/{self.local}/{self.remote}"

    @property
    def url(self) -> str:
        """For a browser."""
        scheme = "https" if self.remote in (443, 6443, 8443) else "http"
        return f"{scheme}://127.0.0.1:{self.local}/"


class Forwards:
    """All of them; they end with the dashboard."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._tasks: dict[Forward, asyncio.Task[None]] = {}
        self.on_change: Callable[[], None] = lambda: None

    @property
    def all(self) -> list[Forward]:
        """In the order in which they were begun."""
        return list(self._tasks)

    async def start(
        self, namespace: str, pod: str, local: int, remote: int, uid: str = ""
    ) -> Forward:
        """Raise OSError when the local port cannot be had, StatusError, Unreachable."""
        made = Forward(namespace, pod, local, remote, uid=uid)
        began: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._run(made, began))
        try:
            await began
        except BaseException:
            task.cancel()
            raise
        self._tasks[made] = task
        self.on_change()
        return made

    def check(self, pods: Mapping[str, Pod]) -> None:
        """Pods have come or gone."""
        for made in self._tasks:
            pod = pods.get(f"{made.namespace}/{made.pod}")
            uid = pod.metadata.uid if pod is not None else ""
            if made.uid and uid != made.uid:
                made.gone.set()
            elif made.state == "listening":
                made.uid = uid

    async def stop(self, made: Forward) -> None:
        """The port is free again when this returns."""
        task = self._tasks.pop(made)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self.on_change()

    async def close(self) -> None:
        """Stop all."""
        for made in self.all:
            await self.stop(made)

    async def _run(self, made: Forward, began: asyncio.Future[None]) -> None:
        while True:
            try:
                await self._once(made, began)
                made.problem = "the pod is gone" if made.gone.is_set() else "the pod's end closed"
            except (OSError, StatusError, Unreachable) as error:
                if not began.done():
                    began.set_exception(error)
                    return
                made.problem = str(error)
            made.state, made.uid = "lost", ""
            made.gone.clear()
            self.on_change()
            await asyncio.sleep(AGAIN_S)

    async def _once(self, made: Forward, began: asyncio.Future[None]) -> None:
        """Until the pod's end is closed."""

        def failed(why: str) -> None:
            made.problem = why
            self.on_change()

        async with forward.tunnel(self._dialer, made.namespace, made.pod) as tunnel:
            server = await forward.listen(tunnel, LOOPBACK, made.local, made.remote, failed)
            try:
                made.local = server.sockets[0].getsockname()[1]
                made.state, made.problem = "listening", ""
                if not began.done():
                    began.set_result(None)
                self.on_change()
                ends = [asyncio.create_task(e.wait()) for e in (tunnel.lost, made.gone)]
                try:
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for end in ends:
                        end.cancel()
            finally:
                server.close()
