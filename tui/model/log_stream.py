"""Feeds a container's log into a buffer, and takes it up again when the container starts anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from engine.client.client import Client
from engine.client.errors import Unreachable
from engine.types.status import StatusError

from .logs import LogBuffer

TAIL = 20_000
"""Lines of the past to begin with."""
RETRY_SECONDS = 1.0


class LogStream:
    """One container's log, as it grows. `run` it; look at `buffer`, `note` and `live`."""

    def __init__(
        self, client: Client, namespace: str, pod: str, container: str, *, previous: bool = False
    ) -> None:
        self.buffer = LogBuffer()
        self.note = "waiting for the first line …"
        self.live = False
        self.on_change: Callable[[], None] = lambda: None
        self._client = client
        self._target = (namespace, pod, container)
        self._previous = previous

    async def run(self) -> None:
        """Follow until cancelled; the log of a previous life is read once."""
        while True:
            try:
                await self._read()
                self.note = "the log is empty" if self._previous else "the container has ended"
            except StatusError as error:
                self.note = str(error)
            except Unreachable as error:
                self.note = f"disconnected: {error.reason}"
            self.live = False
            self.on_change()
            if self._previous:
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _read(self) -> None:
        """One stream to its end. A log that is read again replaces what was there."""
        fresh = True
        lines = self._client.logs(
            *self._target,
            follow=not self._previous,
            tail=TAIL,
            previous=self._previous,
            timestamps=True,
        )
        async for line in lines:
            if fresh:
                self.buffer.clear()
                fresh = False
            self.live = True
            self.buffer.append(line + b"\n")
            self.on_change()
