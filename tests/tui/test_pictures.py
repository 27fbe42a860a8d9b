"""SVG snapshots of the documented views: the colours, too, stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.tui.fakes import FakeCluster
from tests.tui.harness import Driver
from tests.tui.test_frames import VIEWS, steer
from tui.application import PodariumApp


@pytest.mark.parametrize("view", ["overview", "pods", "pod", "image", "logs"])
def test_picture(view: str, snap_compare: Callable[..., bool]) -> None:
    fake = FakeCluster()
    app = PodariumApp(fake, cluster="demo", clock=fake.clock)

    async def reach(pilot: Pilot[Any]) -> None:
        driver = Driver(app, pilot, fake)
        await driver.until(lambda: app.cluster.synced and app.cluster.book.tick >= 0)
        await driver.until(lambda: driver.screen.arrived.is_set())
        await driver.settle()
        await steer(driver, VIEWS[view])

    assert snap_compare(app, terminal_size=(120, 36), run_before=reach)
