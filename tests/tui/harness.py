"""Driving the app in tests: keys, waiting until all is drawn, the screen as text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from textual.pilot import Pilot

from tui.application import PodariumApp
from tui.screens.main import MainScreen

from .fakes import FakeCluster

SIZES = {"small": (80, 24), "medium": (120, 36), "large": (200, 60)}


class Driver:
    """An app that runs on a made-up cluster."""

    def __init__(self, app: PodariumApp, pilot: Pilot[str], fake: FakeCluster) -> None:
        self.app = app
        self.pilot = pilot
        self.fake = fake

    @property
    def screen(self) -> MainScreen:
        screen = self.app.screen_stack[1] if len(self.app.screen_stack) > 1 else self.app.screen
        found = next(s for s in self.app.screen_stack if isinstance(s, MainScreen))
        assert screen is not None
        return found

    async def until(self, done: Callable[[], bool], what: str = "") -> None:
        """Wait for something that is on its way; a minute is the end of patience."""
        async with asyncio.timeout(60):
            while not done():
                await asyncio.sleep(0.005)

    async def settle(self) -> None:
        """Wait until nothing is due any more: messages, changes, paints."""
        await self.pilot.pause()
        await self.until(lambda: not self.screen._flush_due and not self.screen._log_due)
        await self.pilot.pause()

    async def press(self, *keys: str) -> None:
        """Press keys, and wait until they had their effect."""
        await self.pilot.press(*keys)
        await self.settle()

    def text(self) -> str:
        """The characters on screen."""
        return frame(self.app)


def frame(app: PodariumApp) -> str:
    """What is on screen, as lines of text."""
    width, height = app.size
    rows = app.screen._compositor.render_strips()
    return "\n".join("".join(s.text for s in strip).rstrip() for strip in rows[:height])


@asynccontextmanager
async def running(
    fake: FakeCluster | None = None, size: tuple[int, int] = (120, 36), **options: object
) -> AsyncIterator[Driver]:
    """The app on a made-up cluster, with everything known and drawn."""
    fake = fake or FakeCluster()
    app = PodariumApp(fake, cluster="demo", clock=fake.clock, **options)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        driver = Driver(app, pilot, fake)
        if fake.reachable:
            await driver.until(lambda: app.cluster.synced and app.cluster.book.tick >= 0)
            await driver.until(lambda: not driver.screen._booting)
        await driver.settle()
        yield driver
