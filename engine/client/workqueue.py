"""A queue of keys for reconcilers, with client-go's promises.

A key that is added many times before it is taken is taken once. A key is never worked on by two
workers at once: added while it is worked on, it comes again after `done`. Delays are kept per key,
the soonest wins. Failures wait 5 ms, 10 ms, ... up to 1000 s, until `forget`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

BASE_DELAY = 0.005
MAX_DELAY = 1000.0


class ShutDown(Exception):
    """The queue is closed and empty."""


class WorkQueue(Generic[K]):
    """Keys that wait for a worker. Use it in one event loop, whose clock it takes."""

    def __init__(self, *, base_delay: float = BASE_DELAY, max_delay: float = MAX_DELAY) -> None:
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._queue: deque[K] = deque()
        self._dirty: set[K] = set()
        self._processing: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._wakeup = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        """Keys that can be taken now."""
        return len(self._queue)

    @property
    def idle(self) -> bool:
        """Whether nothing waits (delays aside) and nothing is worked on."""
        return not self._queue and not self._processing

    def add(self, key: K) -> None:
        """Ask for work on `key` as soon as possible."""
        if self._closed or key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._processing:
            self._push(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Ask for work on `key` in `seconds`, or sooner if that was asked for already."""
        if self._closed:
            return
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        pending = self._timers.get(key)
        if pending is not None:
            if pending.when() <= loop.time() + seconds:
                return
            pending.cancel()
        self._timers[key] = loop.call_later(seconds, self._due, key)

    def add_rate_limited(self, key: K) -> float:
        """Ask for work on `key` after one more failure; return the seconds it waits."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        # 2 ** 60 is far beyond every useful limit, and larger powers overflow a float.
        delay = min(self._base_delay * 2.0 ** min(failures, 60), self._max_delay)
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """Work on `key` succeeded: its next failure waits the shortest time again."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        """How often `key` failed since `forget`."""
        return self._failures.get(key, 0)

    async def get(self) -> K:
        """The next key; call `done` with it afterwards. Raise ShutDown."""
        while not self._queue:
            if self._closed:
                raise ShutDown
            self._wakeup.clear()
            await self._wakeup.wait()
        key = self._queue.popleft()
        self._dirty.discard(key)
        self._processing.add(key)
        return key

    def done(self, key: K) -> None:
        """Work on `key` has ended, well or not."""
        self._processing.discard(key)
        if key in self._dirty:
            self._push(key)

    def shutdown(self) -> None:
        """Take no more keys; those that wait are still given out, delayed ones are dropped."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._wakeup.set()

    def _push(self, key: K) -> None:
        self._queue.append(key)
        self._wakeup.set()

    def _due(self, key: K) -> None:
        del self._timers[key]
        self.add(key)
