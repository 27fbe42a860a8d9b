"""A local, always current copy of the objects of one kind: list once, then watch.

What holds: `objects` is the server's state at some version, and versions only go forward. Handlers
see every object first as (None, new), then (old, new) as it changes, then (old, None) once;
synchronously, in the server's order, also across lost connections and expired versions (changes in
between are merged into one). Objects are shared with everyone: change a clone
(engine.types.codec.clone), never the original.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Generic, Literal, TypeVar

from engine.client.client import Client, WatchEvent
from engine.client.errors import Unreachable
from engine.types.meta import Object
from engine.types.status import Gone, StatusError

T = TypeVar("T", bound=Object)

Handler = Callable[[T | None, T | None], None]
State = Literal["connecting", "live", "stale"]

# The server ends a watch after a random time in this range, so that clients spread over servers
# (client-go).
WATCH_SECONDS = (300, 600)
FIRST_DELAY, LAST_DELAY = 0.05, 10.0
# A watch that ends sooner than this has not worked, whatever it said.
SHORT_WATCH = 1.0

log = logging.getLogger(__name__)


def key_of(obj: Object) -> str:
    """ "namespace/name", or "name" for an object without a namespace."""
    meta = obj.metadata
    return f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name


class Informer(Generic[T]):
    """The objects of one kind, of one namespace or all, and of those what the selectors select."""

    def __init__(
        self,
        client: Client,
        cls: type[T],
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
    ) -> None:
        self.cls = cls
        self.objects: dict[str, T] = {}
        """By "namespace/name", or "name" for kinds without a namespace."""
        self.synced = asyncio.Event()
        """Set once the first list is in `objects` and was handed to every handler."""
        self.state: State = "connecting"
        """`live` while a watch is open; `stale` when it is lost and `objects` is what was last
        seen."""
        self.error: Exception | None = None
        """Why the state is not `live`, if something failed."""
        self._client = client
        self._namespace = namespace
        self._labels = labels
        self._fields = fields
        self._handlers: list[Handler[T]] = []
        self._indexes: dict[str, _Index[T]] = {}
        self._version: str | None = None
        self._failures = 0

    def add_handler(self, handler: Handler[T]) -> None:
        """Call `handler(old, new)` for each change; at once with (None, obj) for what is known."""
        self._handlers.append(handler)
        for obj in list(self.objects.values()):
            self._call(handler, None, obj)

    def add_index(self, name: str, keys: Callable[[T], Iterable[str]]) -> None:
        """Keep objects findable by what `keys` says of them, such as their node's name."""
        index = self._indexes[name] = _Index(keys)
        for key, obj in self.objects.items():
            index.move(key, None, obj)

    def by_index(self, name: str, value: str) -> list[T]:
        """The objects of which the index `name` said `value`. Raise KeyError without such an
        index."""
        return [self.objects[key] for key in self._indexes[name].found.get(value, ())]

    async def run(self) -> None:
        """Follow the server until cancelled. Failures are kept in `error` and tried again."""
        while True:
            try:
                if self._version is None:
                    await self._list()
                await self._watch(self._version or "")
            except Gone as gone:
                self._version = None
                self._lost(gone)
            except (StatusError, Unreachable, ValueError) as error:
                # An object that does not fit its declaration (ValueError) will not fit a second
                # time from the same version either.
                if isinstance(error, ValueError):
                    self._version = None
                self._lost(error)
            if self._failures:
                await asyncio.sleep(self._delay())

    async def _list(self) -> None:
        found = await self._client.list(
            self.cls, self._namespace, labels=self._labels, fields=self._fields
        )
        fresh = {key_of(obj): obj for obj in found.items}
        for key in [key for key in self.objects if key not in fresh]:
            self._remove(key, self.objects[key])
        for key, obj in fresh.items():
            self._put(key, obj)
        self._version = found.resource_version
        self.synced.set()

    async def _watch(self, version: str) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            async with self._client.watching(
                self.cls,
                self._namespace,
                resource_version=version,
                labels=self._labels,
                fields=self._fields,
                timeout_seconds=random.randint(*WATCH_SECONDS),
            ) as events:
                self.state = "live"
                self.error = None
                await self._follow(events)
        finally:
            if loop.time() - start >= SHORT_WATCH:
                self._failures = 0
        if loop.time() - start < SHORT_WATCH:
            self._failures += 1

    async def _follow(self, events: AsyncIterator[WatchEvent[T]]) -> None:
        async for event in events:
            obj = event.object
            if event.type in ("ADDED", "MODIFIED"):
                self._put(key_of(obj), obj)
            elif event.type == "DELETED":
                self._remove(key_of(obj), obj)
            self._version = obj.metadata.resource_version

    def _put(self, key: str, obj: T) -> None:
        old = self.objects.get(key)
        if old is not None and old.metadata.uid != obj.metadata.uid:
            # Deleted and made again while nobody looked.
            self._remove(key, old)
            old = None
        if old is not None and old.metadata.resource_version == obj.metadata.resource_version:
            return
        self.objects[key] = obj
        self._tell(key, old, obj)

    def _remove(self, key: str, last: T) -> None:
        """Forget an object; handlers are given its `last` state."""
        known = self.objects.pop(key, None)
        if known is None:
            return
        for index in self._indexes.values():
            index.move(key, known, None)
        for handler in self._handlers:
            self._call(handler, last, None)

    def _tell(self, key: str, old: T | None, new: T) -> None:
        for index in self._indexes.values():
            index.move(key, old, new)
        for handler in self._handlers:
            self._call(handler, old, new)

    def _call(self, handler: Handler[T], old: T | None, new: T | None) -> None:
        try:
            handler(old, new)
        except Exception:
            # One handler's fault must not stop the others.
            log.exception("handler %r failed for a %s", handler, self.cls.__name__)

    def _lost(self, error: Exception) -> None:
        if self.state == "live":
            self.state = "stale"
        self.error = error
        self._failures += 1
        level = logging.DEBUG if isinstance(error, Gone | Unreachable) else logging.WARNING
        log.log(level, "%s: %s", self.cls.__name__, error)

    def _delay(self) -> float:
        """Doubling, with as much again at random, so that clients do not return all at once."""
        delay = min(FIRST_DELAY * 2.0 ** min(self._failures - 1, 30), LAST_DELAY)
        return delay * (1 + random.random())


class _Index(Generic[T]):
    """Keys of objects by what a function says of them."""

    def __init__(self, keys: Callable[[T], Iterable[str]]) -> None:
        self._keys = keys
        self.found: dict[str, set[str]] = {}

    def move(self, key: str, old: T | None, new: T | None) -> None:
        before = set(self._keys(old)) if old is not None else set()
        after = set(self._keys(new)) if new is not None else set()
        for value in before - after:
            members = self.found[value]
            members.discard(key)
            if not members:
                del self.found[value]
        for value in after - before:
            self.found.setdefault(value, set()).add(key)
