"""The picture of a cluster that comes up, until its first nodes are known."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..pages.boot import boot_page

if TYPE_CHECKING:
    from .main import MainScreen

LOOK_S = 0.1


async def show_start(screen: MainScreen) -> None:
    """Returns when there is something else to show."""
    app, boot, cluster = screen.podarium, screen.boot, screen.cluster
    screen.sheet.show(
        lambda w, h, t: boot_page(
            boot, cluster.name, app.stopwatch(), w, h, cluster.problem("nodes")
        )
    )
    while cluster.state == "connecting" or (boot.file is not None and not cluster.objects("nodes")):
        boot.read()
        screen.sheet.update()
        await asyncio.sleep(LOOK_S)
    boot.read()
    boot.ready = True
