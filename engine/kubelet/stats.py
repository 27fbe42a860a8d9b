"""The last five minutes of the whole cluster, second by second, and whoever wants to go on
watching.

All nodes are looked at in the same moment, so that a tick can be summed. A subscriber that does not
keep up misses ticks instead of holding anyone back.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Protocol

from engine.types.stats import ContainerSample, NodeSample, Tick

HISTORY = 300
PERIOD_S = 1.0
QUEUE = 16


class Source(Protocol):
    """A node that can be looked at."""

    @property
    def name(self) -> str: ...

    def look(self) -> tuple[NodeSample, dict[str, ContainerSample]]: ...


class Stats:
    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = list(sources)
        self._ticks: deque[Tick] = deque(maxlen=HISTORY)
        self._subscribers: set[asyncio.Queue[Tick]] = set()

    async def run(self) -> None:
        """Tick each second until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self.tick(time.time())
            due = max(due + PERIOD_S, loop.time())
            await asyncio.sleep(due - loop.time())

    def tick(self, now: float) -> Tick:
        """Look at every node once."""
        tick = Tick(t=round(now, 3))
        for source in self._sources:
            node, containers = source.look()
            tick.nodes[source.name] = node
            tick.containers |= containers
        self._ticks.append(tick)
        for queue in self._subscribers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(tick)
        return tick

    def recent(self, count: int) -> list[Tick]:
        """The last `count` ticks, oldest first."""
        return list(self._ticks)[-count:] if count > 0 else []

    async def subscribe(self, history: int) -> AsyncIterator[Tick]:
        """The last `history` ticks, oldest first, then each new one."""
        queue: asyncio.Queue[Tick] = asyncio.Queue(QUEUE)
        past = self.recent(history)
        self._subscribers.add(queue)
        try:
            for tick in past:
                yield tick
            while True:
                yield await queue.get()
        finally:
            self._subscribers.discard(queue)
