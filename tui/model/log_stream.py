"""Feeds a container's log into a buffer, and takes it up again when the container starts anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from engine.client.client import Client
from engine.client.errors import Unreachable
from engine.types.status import StatusError

from .log_range import EVERYTHING, TAIL, Range
from .logs import LogBuffer

RETRY_SECONDS = 1.0


class LogStream:
    """One container's log, as it grows. `run` it; look at `buffer`, `note` and `live`."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        pod: str,
        container: str,
        *,
        previous: bool = False,
        range: Range = EVERYTHING,
    ) -> None:
        self.buffer = LogBuffer()
        self.note = "waiting for the first line …"
        self.live = False
        self.on_change: Callable[[], None] = lambda: None
        self._client = client
        self._target = (namespace, pod, container)
        self._previous = previous
        self._range = range
        self._once = previous or not range.follow

    async def run(self) -> None:
        """Follow until cancelled; what does not grow is read once."""
        while True:
            try:
                await self._read()
                self.note = "the log is empty" if self._once else "the container has ended"
            except StatusError as error:
                self.note = str(error)
            except Unreachable as error:
                self.note = f"disconnected: {error.reason}"
            self.live = False
            self.on_change()
            if self._once:
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _read(self) -> None:
        """One stream to its end. A log that is read again replaces what was there."""
        fresh, count = True, 0
        lines = self._client.logs(
            *self._target,
            follow=not self._once,
            tail=TAIL if self._range.follow else None,
            previous=self._previous,
            timestamps=True,
            since=self._range.since,
        )
        async with aclosing(lines) as found:  # type: ignore[type-var]
            async for line in found:
                if fresh:
                    self.buffer.clear()
                    fresh = False
                self.live = True
                self.buffer.append(line + b"\n")
                self.on_change()
                count += 1
                if count == TAIL and not self._range.follow:
                    return
