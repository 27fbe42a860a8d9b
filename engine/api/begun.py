"""A stream that is begun before it is answered, so that an error at its start is an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

BEGIN = 0.2
"""Seconds to wait for the first chunk; a log that is being followed may have none for long."""


class Begun:
    """The chunks of `stream`, whose first one is on its way or here already."""

    def __init__(self, stream: AsyncIterator[bytes], first: asyncio.Future[bytes | None]) -> None:
        self._stream = stream
        self._first: asyncio.Future[bytes | None] | None = first

    @classmethod
    async def begin(cls, stream: AsyncIterator[bytes]) -> Begun:
        """Raise what `stream` raises at its start."""
        first = asyncio.ensure_future(_next(stream))
        begun = cls(stream, first)
        try:
            await asyncio.wait([first], timeout=BEGIN)
            if first.done():
                first.result()
        except BaseException:
            await begun.aclose()
            raise
        return begun

    def __aiter__(self) -> Begun:
        return self

    async def __anext__(self) -> bytes:
        if self._first is None:
            return await anext(self._stream)
        chunk = await self._first
        self._first = None
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        if self._first is not None:
            self._first.cancel()
            await asyncio.wait([self._first])
        close = getattr(self._stream, "aclose", None)
        if close is not None:
            await close()


async def _next(stream: AsyncIterator[bytes]) -> bytes | None:
    """None at the end: a task may not raise StopAsyncIteration."""
    return await anext(stream, None)
