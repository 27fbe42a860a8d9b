"""Forgets events: after an hour, and the oldest ones when there are too many."""

from __future__ import annotations

import asyncio
import logging

from engine.api.writer import Writer
from engine.store.store import Store
from engine.types import clock, codec
from engine.types.clock import Clock
from engine.types.core import Event
from engine.types.meta import DeleteOptions
from engine.types.registry import resource_for
from engine.types.status import NotFound

log = logging.getLogger(__name__)

PERIOD = 30.0
LIFE = 3600.0
"""Seconds, as kube-apiserver's --event-ttl."""
MOST = 5000


class Janitor:
    """Sweeps each PERIOD seconds; the number of events is bounded by MOST plus what one adds."""

    def __init__(self, store: Store, writer: Writer, now: Clock) -> None:
        self._store = store
        self._writer = writer
        self._now = now
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="janitor")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PERIOD)
            try:
                await self.sweep()
            except Exception:
                log.exception("forgetting events")

    async def sweep(self) -> int:
        """Delete what is too old or too many; say how many."""
        resource = resource_for(Event)
        entries = sorted(self._store.scan(resource.key), key=lambda entry: entry.revision)
        excess = len(entries) - MOST
        limit = self._now() - LIFE
        gone = 0
        for index, entry in enumerate(entries):
            # By revision, the time of the last write grows: the first young one ends the sweep.
            if index >= excess and _last_seen(entry.value) > limit:
                break
            try:
                key = entry.key
                await self._writer.delete(resource, key.namespace, key.name, DeleteOptions())
            except NotFound:
                continue
            gone += 1
        return gone


def _last_seen(value: bytes) -> float:
    event = codec.decode(Event, value)
    last = event.last_timestamp or event.event_time or event.metadata.creation_timestamp
    return clock.parse(last) if last else 0.0
