"""The hub of watches: a change is matched and encoded once per group, then shared by its watchers.

A group is all watchers that want the same: resource, namespace, selection and form. Changes gather
for at most FLUSH seconds and go out as one chunk. A watcher that does not keep up is ended: its
client starts again from the last revision it has seen, and memory stays bounded.

A watcher misses nothing and sees nothing twice: joining a group first flushes it, and all that
happened before is then taken from the store within the same turn of the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from engine.api.form import Form, frame
from engine.api.selection import Selection
from engine.store.entry import Change, Entry
from engine.store.store import Store
from engine.types.codec import encode
from engine.types.registry import Resource

FLUSH = 0.005
BOOKMARK = 30.0
BUFFER = 16 << 20
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class Sink(Protocol):
    """Where a watcher's chunks may go without waiting to be asked for."""

    def write(self, chunk: bytes) -> None: ...

    def backlog(self) -> int:
        """Bytes that were written and have not left yet."""
        ...


class Watcher:
    """The stream of one client: chunks of whole lines, read from it or sent to its sink."""

    def __init__(self, group: Group, *, bookmarks: bool, limit: int) -> None:
        self.bookmarks = bookmarks
        self._sink: Sink | None = None
        self._group = group
        self._limit = limit
        self._chunks: list[bytes] = []
        self._size = 0
        self._ended = False
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def push(self, chunk: bytes) -> None:
        if self._ended:
            return
        if self._sink is not None:
            if self._sink.backlog() > self._limit:
                self.end()
            else:
                self._sink.write(chunk)
            return
        if self._size and self._size + len(chunk) > self._limit:
            self.end()
            return
        self._chunks.append(chunk)
        self._size += len(chunk)
        self._wake.set()

    async def send_to(self, sink: Sink) -> None:
        """Send all that comes to `sink`, in the same turn as it comes; return at the end."""
        for chunk in self._chunks:
            sink.write(chunk)
        self._chunks.clear()
        self._sink = sink
        while not self._ended:
            self._wake.clear()
            await self._wake.wait()

    def end(self) -> None:
        """No more comes; what is buffered can still be read."""
        self._ended = True
        self._group.leave(self)
        if self._timer is not None:
            self._timer.cancel()
        self._wake.set()

    def end_after(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._time_out)

    def _time_out(self) -> None:
        self._group.flush()
        if self.bookmarks:
            self.push(self._group.bookmark())
        self.end()

    def __aiter__(self) -> Watcher:
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self._ended:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        chunk = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        return chunk

    async def aclose(self) -> None:
        self.end()


class Group:
    """Watchers that share every byte."""

    def __init__(
        self,
        hub: Hub,
        key: Any,
        resource: Resource,
        namespace: str,
        selection: Selection,
        form: Form,
    ) -> None:
        self.key = key
        self.resource = resource
        self.watchers: set[Watcher] = set()
        self._hub = hub
        self._namespace = namespace
        self._selection = selection
        self._form = form
        self._pending: list[bytes] = []

    def offer(self, change: Change) -> bool:
        """Take the change if it concerns this group; say whether there is something to flush."""
        line = self._line(change)
        if line is None:
            return False
        self._pending.append(line)
        return True

    def flush(self) -> None:
        if self._pending:
            chunk = b"".join(self._pending)
            self._pending.clear()
            for watcher in list(self.watchers):
                watcher.push(chunk)

    def leave(self, watcher: Watcher) -> None:
        self.watchers.discard(watcher)
        if not self.watchers:
            self._hub.forget(self)

    def replay(self, changes: Iterable[Change]) -> bytes:
        """The past as this group would have seen it."""
        return b"".join(filter(None, map(self._line, changes)))

    def present(self, entries: Iterable[Entry]) -> bytes:
        """What is there, as if it had just been added."""
        return b"".join(
            frame("ADDED", self._form.one(entry.value))
            for entry in entries
            if self._selection.matches(entry)
        )

    def bookmark(self, *, initial_end: bool = False) -> bytes:
        """Tells the client the revision it is at, though nothing happened to it."""
        meta: dict[str, Any] = {"resourceVersion": str(self._hub.revision)}
        if initial_end:
            meta["annotations"] = {INITIAL_EVENTS_END: "true"}
        resource = self.resource
        body = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
        return frame("BOOKMARK", encode(body))

    def _line(self, change: Change) -> bytes | None:
        entry, previous = change.entry, change.previous
        if self._namespace and entry.key.namespace != self._namespace:
            return None
        # What leaves the selection is deleted for this watcher, what enters it is added.
        before = previous is not None and self._selection.matches(previous)
        after = change.type != "DELETED" and self._selection.matches(entry)
        if after:
            return frame("MODIFIED" if before else "ADDED", self._form.one(entry.value))
        return frame("DELETED", self._form.one(entry.value)) if before else None


@dataclass(frozen=True, slots=True)
class Start:
    """Where a watch begins: after `revision`, or with all that is there when it is None."""

    revision: int | None
    initial_end: bool = False
    bookmarks: bool = False
    timeout: float | None = None


class Hub:
    """All groups, fed by the store."""

    def __init__(self, store: Store, *, buffer: int = BUFFER) -> None:
        self._store = store
        self._buffer = buffer
        self._groups: dict[str, dict[Any, Group]] = {}
        self._dirty: set[Group] = set()
        self._timer: asyncio.Handle | None = None
        self._flushed = 0.0
        self._bookmarks: asyncio.TimerHandle | None = None
        self._unsubscribe = store.subscribe(self._published)

    @property
    def revision(self) -> int:
        return self._store.revision

    def watch(
        self, resource: Resource, namespace: str, selection: Selection, form: Form, start: Start
    ) -> Watcher:
        """Raise Compacted or Future when the store cannot go on from where the client is."""
        past = None
        if start.revision is not None:
            past = self._store.since(resource.key, start.revision)
        group = self._group(resource, namespace, selection, form)
        group.flush()
        watcher = Watcher(group, bookmarks=start.bookmarks, limit=self._buffer)
        if past is None:
            chunk = group.present(self._store.scan(resource.key, namespace))
            if start.initial_end:
                chunk += group.bookmark(initial_end=True)
        else:
            chunk = group.replay(past)
        if chunk:
            watcher.push(chunk)
        group.watchers.add(watcher)
        if start.timeout is not None:
            watcher.end_after(start.timeout)
        if self._bookmarks is None:
            self._bookmarks = asyncio.get_running_loop().call_later(BOOKMARK, self._send_bookmarks)
        return watcher

    def forget(self, group: Group) -> None:
        groups = self._groups.get(group.resource.key, {})
        if groups.get(group.key) is group:
            del groups[group.key]
        self._dirty.discard(group)

    def close(self) -> None:
        """End every watch."""
        self._unsubscribe()
        for timer in (self._timer, self._bookmarks):
            if timer is not None:
                timer.cancel()
        for groups in list(self._groups.values()):
            for group in list(groups.values()):
                group.flush()
                for watcher in list(group.watchers):
                    watcher.end()

    def _group(self, resource: Resource, namespace: str, selection: Selection, form: Form) -> Group:
        groups = self._groups.setdefault(resource.key, {})
        key = (namespace, selection.key, form.key)
        if key not in groups:
            groups[key] = Group(self, key, resource, namespace, selection, form)
        return groups[key]

    def _published(self, changes: list[Change]) -> None:
        for change in changes:
            for group in self._groups.get(change.entry.key.resource, {}).values():
                if group.offer(change):
                    self._dirty.add(group)
        if self._dirty and self._timer is None:
            # At once after a pause, so that one change is soon seen; gathered when many come.
            loop = asyncio.get_running_loop()
            wait = self._flushed + FLUSH - loop.time()
            later = loop.call_later(wait, self._flush) if wait > 0 else loop.call_soon(self._flush)
            self._timer = later

    def _flush(self) -> None:
        self._timer = None
        self._flushed = asyncio.get_running_loop().time()
        dirty, self._dirty = self._dirty, set()
        for group in dirty:
            group.flush()

    def _send_bookmarks(self) -> None:
        self._flush()
        watched = False
        for groups in self._groups.values():
            for group in list(groups.values()):
                watched = True
                line = group.bookmark()
                for watcher in list(group.watchers):
                    if watcher.bookmarks:
                        watcher.push(line)
        loop = asyncio.get_running_loop()
        self._bookmarks = loop.call_later(BOOKMARK, self._send_bookmarks) if watched else None
