"""The logs of several containers as one, in the order of their timestamps.

What is past is read to its end first and sorted whole. What comes later waits one beat, so that a
line that was written earlier and arrives later still finds its place.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from engine.client.client import Client
from engine.client.errors import Unreachable
from engine.types.core import Pod
from engine.types.status import StatusError

from .log_range import EVERYTHING, TAIL, Range
from .log_stream import RETRY_SECONDS
from .logs import LogBuffer

BEAT_SECONDS = 0.25
MARK = b"\x1f"
"""Ends the label in a line of the buffer: `timestamp label MARK text`."""
_OVERLAP = 2
"""Seconds read twice when following begins: the API counts in whole seconds."""

Entry = tuple[bytes, str, bytes]
"""Time, label and text of a line; they sort by time."""


@dataclass(frozen=True)
class Source:
    """A container whose log takes part."""

    namespace: str
    pod: str
    container: str
    label: str


def sources_of(pods: Sequence[Pod], owner: str = "", part: str = "") -> list[Source]:
    """The containers of pods (`part`: only that one), told apart in as few words as that takes."""
    found = []
    for pod in sorted(pods, key=lambda pod: pod.metadata.name):
        meta = pod.metadata
        names = [c.name for c in pod.spec.containers if part in ("", c.name)]
        short = meta.name.removeprefix(f"{owner}-")
        for name in names:
            label = name if not owner else short if len(names) == 1 else f"{short}/{name}"
            found.append(Source(meta.namespace, meta.name, name, label))
    return found


class LogMerge:
    """Several logs as they grow. `run` it; look at `buffer`, `note` and `live`, as of a stream."""

    def __init__(
        self, client: Client, sources: Callable[[], list[Source]], *, range: Range = EVERYTHING
    ) -> None:
        self.buffer = LogBuffer()
        self.note = "waiting for the first line …"
        self.live = False
        self.on_change: Callable[[], None] = lambda: None
        self._client = client
        self._sources = sources
        """Asked again each second: a roll-out brings new ones."""
        self._range = range
        self._held: list[Entry] = []
        self._known: dict[Source, bytes] = {}
        """The time of the last line of each."""

    async def run(self) -> None:
        """Follow until cancelled; a beginning is read once."""
        began = time.monotonic()
        first = self._sources()
        past = await asyncio.gather(*(self._past(source, len(first)) for source in first))
        self._held = [entry for lines in past for entry in lines]
        self._emit(None)
        if not self._range.follow:
            self.note = "the logs are empty"
            self.on_change()
            return
        self.live = True
        tasks: dict[Source, asyncio.Task[None]] = {}
        try:
            await self._beat(tasks, began)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _beat(self, tasks: dict[Source, asyncio.Task[None]], began: float) -> None:
        newest = b""
        while True:
            wanted = self._sources()
            for source in set(wanted) - set(tasks):
                tasks[source] = asyncio.create_task(self._follow(source, began))
            for source in set(tasks) - set(wanted):
                tasks.pop(source).cancel()
            if not wanted:
                self.note = "there is no container"
            for _ in range(round(RETRY_SECONDS / BEAT_SECONDS)):
                await asyncio.sleep(BEAT_SECONDS)
                latest = max(self._held)[0] if self._held else b""
                self._emit(newest)
                newest = latest

    def _emit(self, until: bytes | None) -> None:
        """Put the lines up to a time into the buffer (None: all)."""
        if not self._held:
            return
        self._held.sort()
        count = len(self._held)
        if until is not None:
            count = next((i for i, e in enumerate(self._held) if e[0] > until), count)
        if count:
            ready, self._held = self._held[:count], self._held[count:]
            lines = (b"%sZ %s%s%s\n" % (t, label.encode(), MARK, text) for t, label, text in ready)
            self.buffer.append(b"".join(lines))
            self.on_change()

    async def _past(self, source: Source, count: int) -> list[Entry]:
        """What a container has written so far; nothing when it cannot be asked."""
        tail = TAIL // count
        found: list[Entry] = []
        whole = not self._range.follow
        try:
            lines = self._lines(source, None if whole else tail, self._range.since, follow=False)
            async with aclosing(lines) as entries:  # type: ignore[type-var]
                async for entry in entries:
                    found.append(entry)
                    if whole and len(found) == tail:
                        break
        except (StatusError, Unreachable) as error:
            self.note = str(error)
        return found

    async def _follow(self, source: Source, since: float) -> None:
        """Lines of one container that are not known yet, until cancelled."""
        while True:
            seconds = math.ceil(time.monotonic() - since) + _OVERLAP
            since = time.monotonic()
            before = self._known.get(source, b"")
            try:
                lines = self._lines(source, None, seconds, follow=True)
                async with aclosing(lines) as entries:  # type: ignore[type-var]
                    async for entry in entries:
                        if entry[0] > before:
                            self._held.append(entry)
                        since = time.monotonic()
            except StatusError as error:
                self.note = str(error)
            except Unreachable as error:
                self.note = f"disconnected: {error.reason}"
            await asyncio.sleep(RETRY_SECONDS)

    async def _lines(
        self, source: Source, tail: int | None, since: int | None, *, follow: bool
    ) -> AsyncIterator[Entry]:
        lines = self._client.logs(
            source.namespace,
            source.pod,
            source.container,
            follow=follow,
            tail=tail,
            timestamps=True,
            since=since,
        )
        async with aclosing(lines) as found:  # type: ignore[type-var]
            async for line in found:
                head, _, text = line.partition(b" ")
                # Without its Z a time with fewer digits sorts before a longer one, as it should.
                stamp = head.rstrip(b"Z")
                self._known[source] = max(stamp, self._known.get(source, b""))
                yield stamp, source.label, text
