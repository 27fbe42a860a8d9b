"""The replay of a container's start on the main screen: begun, gone through, ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .main import MainScreen


class Replaying:
    """At most one, that of the container one is looking at."""

    def __init__(self, screen: MainScreen) -> None:
        self._screen = screen

    async def do(self, what: str) -> None:
        """`toggle`, `play`, `faster` or `slower`; the last three begin it if need be."""
        screen = self._screen
        pages = screen.pages
        if what == "toggle" and pages.replay is not None:
            self.end()
            return
        if pages.replay is None:
            place = screen.place
            found = await screen.reading.trace(place)
            if isinstance(found, str):
                screen.flash(found, "warn")
                return
            if screen.place != place:
                return
            pages.replay = found
        if what == "play":
            pages.replay.play()
            if pages.replay.playing:
                screen.run_worker(self._play(), group="replay", exclusive=True)
        elif what in ("faster", "slower"):
            pages.replay.faster(1 if what == "faster" else -1)
        screen.sheet.update()

    def move(self, count: int) -> bool:
        """Steps forwards or backwards; False when there is no replay."""
        replay = self._screen.pages.replay
        if replay is None:
            return False
        replay.playing = False
        replay.move(count)
        self._screen.sheet.update()
        return True

    def edge(self, end: bool) -> bool:
        """To its end or its beginning; False when there is no replay."""
        replay = self._screen.pages.replay
        if replay is None:
            return False
        replay.edge(end)
        self._screen.sheet.update()
        return True

    def end(self) -> None:
        """Back to how the container is."""
        if self._screen.pages.replay is not None:
            self._screen.pages.replay = None
            self._screen.sheet.update()

    async def _play(self) -> None:
        replay = self._screen.pages.replay
        while replay is not None and replay.playing and replay is self._screen.pages.replay:
            await asyncio.sleep(1 / replay.speed)
            if replay.playing:
                replay.move(1)
                self._screen.sheet.update()
