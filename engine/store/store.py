"""Objects as bytes, with revisions: each write has a higher one, and no reader misses any.

There is one writer: the event loop. A write is checked against the newest state, gets its revision,
and is *staged*; when its batch is on the disk it is *published*: readers and watchers see it, and
the caller's await returns. So nobody ever sees what a crash could take back, reads never wait on
the disk, and all that came in while one batch was being written goes out as the next (group
commit).

Resources named volatile stay in memory but share the sequence: when nothing durable is ahead of
them they are published at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from engine.store.entry import (
    Change,
    ChangeType,
    Encoder,
    Entry,
    Exists,
    Key,
    Missing,
    Stale,
    StoreError,
    Unwritable,
)
from engine.store.log import Log
from engine.store.sqlite import Journal, Write

BATCH = 512
LOG_CHANGES = 20_000
LOG_BYTES = 32 << 20

Subscriber = Callable[[list[Change]], None]


@dataclass(slots=True)
class _Staged:
    change: Change
    done: asyncio.Future[Entry]


class Store:
    """The current objects, the recent log, and the queue of writes on their way to the disk."""

    def __init__(
        self,
        journal: Journal | None = None,
        *,
        volatile: Collection[str] = (),
        log_changes: int = LOG_CHANGES,
        log_bytes: int = LOG_BYTES,
    ) -> None:
        """Without a journal everything is volatile. `volatile` names resources, as Key does."""
        self._journal = journal
        self._volatile = frozenset(volatile)
        self._objects: dict[str, dict[tuple[str, str], Entry]] = {}
        self._head: dict[Key, _Staged] = {}
        self._queue: deque[_Staged] = deque()
        self._writing = False
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._disk: ThreadPoolExecutor | None = None
        self._subscribers: dict[object, Subscriber] = {}
        revision = 1
        if journal is not None:
            self._disk = ThreadPoolExecutor(1, "store")
            # One more than any that was ever seen: volatile objects are gone since then, so no
            # watch may go on from before as if nothing had happened.
            revision = journal.reserved + 1
            for entry in journal.load():
                self._of(entry.key.resource)[entry.key.namespace, entry.key.name] = entry
        self._revision = revision
        self._log = Log(revision, changes=log_changes, size=log_bytes)

    @classmethod
    def open(cls, path: Path, *, volatile: Collection[str] = ()) -> Store:
        """The durable store in the file `path`; raise Busy, Corrupt or Unwritable."""
        return cls(Journal(path), volatile=volatile)

    # --- reading -------------------------------------------------------------------------------

    @property
    def revision(self) -> int:
        """Of the newest published write."""
        return self._log.current

    @property
    def oldest(self) -> int:
        """The earliest revision that `scan` and `since` still answer for."""
        return self._log.oldest

    def get(self, key: Key) -> Entry | None:
        return self._of(key.resource).get((key.namespace, key.name))

    def head(self, key: Key) -> Entry | None:
        """The newest state, staged ones included: what a write to `key` is checked against."""
        staged = self._head.get(key)
        if staged is None:
            return self.get(key)
        return None if staged.change.type == "DELETED" else staged.change.entry

    async def settle(self, key: Key) -> None:
        """Wait until what `head` shows of `key` is published. Raise Unwritable if it never was."""
        staged = self._head.get(key)
        if staged is not None:
            await asyncio.shield(staged.done)

    def scan(self, resource: str, namespace: str = "", *, at: int | None = None) -> list[Entry]:
        """The objects of a resource, in one namespace or all, by namespace and name.

        `at` asks for the past; raise Compacted or Future when that revision is out of reach.
        """
        objects = self._of(resource)
        if at is not None:
            objects = self._past(resource, at)
        return [
            objects[place] for place in sorted(objects) if not namespace or place[0] == namespace
        ]

    def _past(self, resource: str, revision: int) -> dict[tuple[str, str], Entry]:
        objects = dict(self._of(resource))
        for change in reversed(self._log.since(revision)):
            key = change.entry.key
            if key.resource != resource:
                continue
            if change.previous is None:
                objects.pop((key.namespace, key.name), None)
            else:
                objects[key.namespace, key.name] = change.previous
        return objects

    def since(self, resource: str, revision: int) -> Iterator[Change]:
        """The resource's changes after `revision`; raise Compacted or Future at once."""
        changes = self._log.since(revision)
        return (change for change in changes if change.entry.key.resource == resource)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` with each batch as it is published; return what ends that."""
        token = object()
        self._subscribers[token] = subscriber

        def unsubscribe() -> None:
            self._subscribers.pop(token, None)

        return unsubscribe

    # --- writing -------------------------------------------------------------------------------

    async def create(self, key: Key, encode: Encoder) -> Entry:
        """Raise Exists, or Unwritable when the disk refuses."""
        if self.head(key) is not None:
            raise Exists(key)
        return await self._stage("ADDED", key, encode, None)

    async def update(self, key: Key, encode: Encoder, *, expected: int | None = None) -> Entry:
        """Raise Missing, Stale when `expected` is not the newest revision, or Unwritable."""
        previous = self._expect(key, expected)
        return await self._stage("MODIFIED", key, encode, previous)

    async def delete(self, key: Key, encode: Encoder, *, expected: int | None = None) -> Entry:
        """`encode` gives the last state that watchers see. Raise Missing, Stale or Unwritable."""
        previous = self._expect(key, expected)
        return await self._stage("DELETED", key, encode, previous)

    async def close(self) -> None:
        """Refuse further writes, wait for the staged ones, then let go of the database."""
        self._closed = True
        await self._idle.wait()
        if self._disk is not None:
            self._disk.shutdown()
            self._disk = None
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _expect(self, key: Key, expected: int | None) -> Entry:
        entry = self.head(key)
        if entry is None:
            raise Missing(key)
        if expected is not None and entry.revision != expected:
            raise Stale(key, expected, entry.revision)
        return entry

    def _stage(
        self, type_: ChangeType, key: Key, encode: Encoder, previous: Entry | None
    ) -> asyncio.Future[Entry]:
        if self._closed:
            raise Unwritable(f"{key}: the store is closed")
        loop = asyncio.get_running_loop()
        self._revision += 1
        entry = Entry(key, self._revision, encode(self._revision))
        staged = _Staged(Change(type_, entry, previous), loop.create_future())
        if not self._queue and not self._writing and not self._needs_disk(staged):
            self._publish([staged])
            return staged.done
        self._head[key] = staged
        self._queue.append(staged)
        if not self._writing:
            # One turn later: writers that are ready now join the same commit.
            self._writing = True
            self._idle.clear()
            loop.call_soon(self._write)
        return staged.done

    def _needs_disk(self, staged: _Staged) -> bool:
        if self._journal is None:
            return False
        entry = staged.change.entry
        return entry.key.resource not in self._volatile or entry.revision > self._journal.reserved

    def _write(self) -> None:
        batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
        if not batch:
            self._writing = False
            self._idle.set()
            return
        if self._disk is None or not any(map(self._needs_disk, batch)):
            self._publish(batch)
            asyncio.get_running_loop().call_soon(self._write)
            return
        # The last state per key is enough: a row holds one.
        writes: dict[Key, Entry | None] = {}
        for staged in batch:
            entry = staged.change.entry
            if entry.key.resource not in self._volatile:
                gone = staged.change.type == "DELETED"
                writes[entry.key] = None if gone else entry
        task = asyncio.get_running_loop().run_in_executor(
            self._disk, self._commit, list(writes.items()), batch[-1].change.revision
        )
        task.add_done_callback(lambda done: self._written(batch, done))

    def _commit(self, writes: list[Write], revision: int) -> None:
        assert self._journal is not None
        self._journal.commit(writes, revision)

    def _written(self, batch: list[_Staged], done: asyncio.Future[None]) -> None:
        error = done.exception()
        if error is None:
            self._publish(batch)
        else:
            self._refuse(batch, error)
        self._write()

    def _publish(self, batch: list[_Staged]) -> None:
        changes = []
        for staged in batch:
            change = staged.change
            key = change.entry.key
            objects = self._of(key.resource)
            if change.type == "DELETED":
                del objects[key.namespace, key.name]
            else:
                objects[key.namespace, key.name] = change.entry
            self._log.append(change)
            if self._head.get(key) is staged:
                del self._head[key]
            changes.append(change)
        for subscriber in list(self._subscribers.values()):
            subscriber(changes)
        for staged in batch:
            if not staged.done.done():  # its caller may have been cancelled
                staged.done.set_result(staged.change.entry)

    def _refuse(self, batch: list[_Staged], error: BaseException) -> None:
        """Nothing staged may outlive a failed commit: later writes were checked against it."""
        for staged in [*batch, *self._queue]:
            if not staged.done.done():
                staged.done.set_exception(
                    error if isinstance(error, StoreError) else StoreError(str(error))
                )
        self._queue.clear()
        self._head.clear()

    def _of(self, resource: str) -> dict[tuple[str, str], Entry]:
        objects = self._objects.get(resource)
        if objects is None:
            objects = self._objects[resource] = {}
        return objects
