"""Telling people what happened: Event objects, counted as Kubernetes counts them.

The same event again raises `count` and `lastTimestamp` of the first one; many that differ only in
their text are combined into one. Recording never waits and never fails: a bounded queue is written
in the background, and what does not fit is dropped and logged.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from engine.client.client import Client
from engine.client.errors import Unreachable
from engine.types import clock as times
from engine.types.clock import Clock
from engine.types.core import Event, EventSource, ObjectReference
from engine.types.meta import Object
from engine.types.status import NotFound, StatusError

QUEUE_SIZE = 1000
CACHE_SIZE = 4096
# More different texts than this within the window become one event (client-go's EventAggregator).
SIMILAR, SIMILAR_SECONDS = 10, 600
COMBINED = "(combined from similar events): "
ATTEMPTS, FIRST_DELAY = 6, 0.1

log = logging.getLogger(__name__)

_Key = tuple[str, ...]


@dataclass(slots=True)
class _Known:
    """An event that lies at the server (or is on its way there)."""

    name: str
    count: int
    first: str


@dataclass(slots=True)
class _Similar:
    """The texts of events that differ in nothing else."""

    since: float
    texts: set[str] = field(default_factory=set)


class EventRecorder:
    """Records events as one component, on one node if `host` is given."""

    def __init__(
        self, client: Client, component: str, *, host: str = "", clock: Clock = time.time
    ) -> None:
        self._client = client
        self._source = EventSource(component=component, host=host)
        self._clock = clock
        self._known: OrderedDict[_Key, _Known] = OrderedDict()
        self._similar: OrderedDict[_Key, _Similar] = OrderedDict()
        self._queue: asyncio.Queue[tuple[_Key, Event]] = asyncio.Queue(QUEUE_SIZE)
        self._writer: asyncio.Task[None] | None = None
        self.dropped = 0
        """Events that were not recorded."""

    def record(
        self,
        obj: Object | ObjectReference,
        type: str,
        reason: str,
        message: str,
        *,
        field_path: str = "",
    ) -> None:
        """Say that something happened to `obj`. `type` is Normal or Warning; `field_path` names a
        part, such as spec.containers{web}. Call it in the event loop."""
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())
        now = self._clock()
        reference = obj if isinstance(obj, ObjectReference) else reference_to(obj, field_path)
        about = (reference.kind, reference.namespace, reference.name, reference.uid)
        same = (*about, reference.field_path, type, reason)
        message = self._combine(same, message, now)
        moment = times.format(now)
        event = Event(
            involved_object=reference,
            type=type,
            reason=reason,
            message=message,
            source=self._source,
            reporting_component=self._source.component,
            reporting_instance=self._source.host,
            first_timestamp=moment,
            last_timestamp=moment,
            count=1,
        )
        event.metadata.name = f"{reference.name}.{int(now * 1e9):x}"
        event.metadata.namespace = reference.namespace or "default"
        text = COMBINED if message.startswith(COMBINED) else message
        try:
            self._queue.put_nowait(((*same, text), event))
        except asyncio.QueueFull:
            self.dropped += 1
            log.warning("event dropped: %s %s: %s", reference.name, reason, message)

    async def flush(self) -> None:
        """Wait until all that was recorded is written or given up."""
        await self._queue.join()

    async def close(self) -> None:
        """Stop writing at once."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
            self._writer = None

    def _combine(self, same: _Key, message: str, now: float) -> str:
        """The text to record: combined when too many texts came within the window."""
        similar = self._similar.get(same)
        if similar is None or now - similar.since > SIMILAR_SECONDS:
            similar = self._similar[same] = _Similar(now)
        self._similar.move_to_end(same)
        if len(self._similar) > CACHE_SIZE:
            self._similar.popitem(last=False)
        if message in similar.texts:
            return message
        if len(similar.texts) >= SIMILAR:
            return COMBINED + message
        similar.texts.add(message)
        return message

    async def _write(self) -> None:
        while True:
            key, event = await self._queue.get()
            try:
                await self._send(key, event)
            except (StatusError, Unreachable, ValueError) as error:
                self.dropped += 1
                log.warning("event %s not recorded: %s", event.metadata.name, error)
            finally:
                self._queue.task_done()

    async def _send(self, key: _Key, event: Event) -> None:
        for attempt in range(ATTEMPTS):
            try:
                await self._send_once(key, event)
                return
            except Unreachable:
                if attempt == ATTEMPTS - 1:
                    raise
            await asyncio.sleep(FIRST_DELAY * 2**attempt)

    async def _send_once(self, key: _Key, event: Event) -> None:
        known = self._known.get(key)
        if known is not None:
            patch = {
                "count": known.count + 1,
                "lastTimestamp": event.last_timestamp,
                "message": event.message,
            }
            try:
                await self._client.patch(Event, known.name, event.metadata.namespace, patch)
            except NotFound:
                # The server forgot it (events expire): begin again.
                del self._known[key]
            else:
                known.count += 1
                self._known.move_to_end(key)
                return
        await self._client.create(event)
        self._known[key] = _Known(event.metadata.name, 1, event.first_timestamp or "")
        if len(self._known) > CACHE_SIZE:
            self._known.popitem(last=False)


def reference_to(obj: Object, field_path: str = "") -> ObjectReference:
    """A reference to `obj`, or to the part of it at `field_path`."""
    meta = obj.metadata
    return ObjectReference(
        kind=obj.kind,
        api_version=obj.api_version,
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        resource_version=meta.resource_version,
        field_path=field_path,
    )
