"""What every controller is made of: a queue of keys, shared informers, and one function.

`reconcile(key)` is level-triggered: it never learns which event woke it, reads the present state
from the informers, writes what is missing, and may ask to be called again later. One key is never
reconciled twice at once. An error puts the key back with a growing delay.
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from engine.client.client import Client
from engine.client.errors import Unreachable
from engine.client.events import EventRecorder
from engine.client.informer import Informer
from engine.client.workqueue import WorkQueue
from engine.types.clock import Clock
from engine.types.meta import Object
from engine.types.status import Conflict, StatusError

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Object)

LONGEST_RETRY = 30.0
"""Seconds. client-go waits up to 1000, for a server that many share; this one is the user's own."""


@dataclass(frozen=True, slots=True)
class After:
    """Reconcile the same key again after so many seconds."""

    seconds: float


class SharedInformers:
    """One informer per kind for everyone in the process; all must be asked for before `run`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._informers: dict[type[Object], Informer[Any]] = {}
        self._running = False

    def of(self, cls: type[T]) -> Informer[T]:
        """The informer of a kind, over all namespaces."""
        informer = self._informers.get(cls)
        if informer is None:
            if self._running:
                raise RuntimeError(f"informer of {cls.__name__} asked for after run() began")
            informer = self._informers[cls] = Informer(self._client, cls)
        return informer

    async def synced(self) -> None:
        """Wait until every informer holds a complete list."""
        for informer in list(self._informers.values()):
            await informer.synced.wait()

    async def run(self) -> None:
        """Run all informers until cancelled."""
        self._running = True
        async with asyncio.TaskGroup() as group:
            for informer in self._informers.values():
                group.create_task(informer.run())


class Controller:
    """Base of all controllers. A subclass subscribes in its constructor and defines `reconcile`."""

    name: ClassVar[str]
    workers: ClassVar[int] = 4

    def __init__(
        self, client: Client, informers: SharedInformers, clock: Clock = time.time
    ) -> None:
        self.client = client
        self.informers = informers
        self.clock = clock
        self.queue: WorkQueue[str] = WorkQueue(max_delay=LONGEST_RETRY)
        self.events = EventRecorder(client, self.name)

    async def reconcile(self, key: str) -> After | None:
        """Bring the world nearer to what the object named by the key wants."""
        raise NotImplementedError

    async def run(self) -> None:
        """Reconcile until cancelled."""
        await self.informers.synced()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self.workers):
                    group.create_task(self._work())
        finally:
            await self.events.close()

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                after = await self.reconcile(key)
            except Conflict:
                # Someone else was faster; the watch brings the newer state.
                self.queue.add_rate_limited(key)
            except (StatusError, Unreachable) as error:
                log.warning("%s: %s: %s", self.name, key, error)
                self.queue.add_rate_limited(key)
            except Exception:
                # A fault in the code about one object must not stop the care for all others.
                log.exception("%s: %s", self.name, key)
                self.queue.add_rate_limited(key)
            else:
                self.queue.forget(key)
                if after is not None:
                    self.queue.add_after(key, max(after.seconds, 0.0))
            finally:
                self.queue.done(key)
