"""Driving the app in tests: keys, waiting until all is drawn, the screen as text.

Textual's own pilot waits until the process looks idle, which takes 70 ms a key and is fooled by a
busy machine. Here a key is done when every queue is empty and nothing is on its way.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual import events
from textual.keys import REPLACED_KEYS, _character_to_key, _get_unicode_name_from_key
from textual.pilot import Pilot
from textual.worker import WorkerState

from tests.tui.fakes import FakeCluster
from tui.application import PodariumApp
from tui.screens.main import MainScreen

SIZES = {"small": (80, 24), "medium": (120, 36), "large": (200, 60)}
PASSING = ("text", "anatomy")
"""Groups of workers that end by themselves; commands do unless they ask something."""


class Driver:
    """An app that runs on a made-up cluster."""

    def __init__(self, app: PodariumApp, pilot: Pilot[str], fake: FakeCluster) -> None:
        self.app = app
        self.pilot = pilot
        self.fake = fake

    @property
    def screen(self) -> MainScreen:
        return next(s for s in self.app.screen_stack if isinstance(s, MainScreen))

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait for something that is on its way; half a minute is the end of patience."""
        async with asyncio.timeout(30):
            while not done():  # noqa: ASYNC110  what is waited for has no event
                await asyncio.sleep(0.002)

    def _busy(self) -> bool:
        """Whether a message is waiting, a paint is due, or something was asked of the API."""
        screen, top = self.screen, self.app.screen
        if screen._flush_due or screen.reading.log_due:
            return True
        if top._layout_required or top._dirty_widgets or not top._compositor.visible_widgets:
            return True
        for pump in (self.app, *self.app.screen_stack, *self.app.screen.walk_children()):
            if not pump._message_queue.empty() or pump._next_callbacks:
                return True
        passing = PASSING if top is not screen else (*PASSING, "command")
        return any(
            worker.group in passing and worker.state in (WorkerState.PENDING, WorkerState.RUNNING)
            for worker in self.app.workers
        )

    async def settle(self) -> None:
        """Wait until nothing is due any more, and every widget has had a turn since."""
        calm = 0
        async with asyncio.timeout(30):
            while calm < 3 and not self.app._exit:
                await self.pilot._wait_for_screen()
                await asyncio.sleep(0.001)
                calm = 0 if self._busy() else calm + 1

    async def press(self, *keys: str) -> None:
        """Press keys, each when the one before had its effect."""
        for key in keys:
            event = key_event(key)
            event.set_sender(self.app)
            self.app.post_message(event)
            await self.settle()

    def text(self) -> str:
        """The characters on screen."""
        rows = self.app.screen._compositor.render_strips()
        height = self.app.size.height
        return "\n".join("".join(s.text for s in strip).rstrip() for strip in rows[:height])


def key_event(key: str) -> events.Key:
    """The event of a key by its name or its character."""
    name = _character_to_key(key) if len(key) == 1 and not key.isalnum() else key
    char: str | None
    try:
        char = unicodedata.lookup(_get_unicode_name_from_key(REPLACED_KEYS.get(name, name)))
    except KeyError:
        char = key if len(key) == 1 else None
    return events.Key(name, char)


@asynccontextmanager
async def running(
    fake: FakeCluster | None = None, size: tuple[int, int] = (120, 36), **options: Any
) -> AsyncIterator[Driver]:
    """The app on a made-up cluster, with everything known and drawn."""
    fake = fake or FakeCluster()
    app = PodariumApp(fake, cluster="demo", clock=fake.clock, **options)
    async with app.run_test(size=size) as pilot:
        driver = Driver(app, pilot, fake)
        if fake.reachable:
            cluster = app.cluster
            await driver.until(
                lambda: cluster.synced and (cluster.book.tick >= 0 or "stats" in cluster.missing)
            )
            await driver.until(lambda: not driver.screen._booting)
        await driver.settle()
        yield driver
