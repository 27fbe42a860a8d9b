"""Pictures of the running dashboard, made by the dashboard itself without a terminal."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from textual.pilot import Pilot

from engine.types import registry
from engine.types.status import StatusError

from ..application import PodariumApp
from ..endpoint import Endpoint
from ..model.cluster import Cluster
from ..model.place import OVERVIEW, Place
from ..model.pods import key_of, status
from ..screens.main import MainScreen
from .picture import picture

if TYPE_CHECKING:
    from ..endpoint import Connection

SETTLE_SECONDS = 0.5
CHART_TICKS = 20
"""Seconds of numbers that a chart needs to look like one."""

VIEWS = (
    "overview",
    "nodes",
    "pods",
    "deployments",
    "jobs",
    "images",
    "events",
    "pod",
    "inside",
    "replay",
    "node",
    "image",
    "files",
    "xray",
    "logs",
    "describe",
    "yaml",
)
"""Names for `capture`; the plural of any other kind is one too."""

Settled = Callable[[Cluster], bool]


class NotSettled(Exception):
    """The cluster did not come to the expected state in time."""


def charted(cluster: Cluster, ticks: int = CHART_TICKS) -> bool:
    """Whether there are enough numbers to draw, or there will never be any."""
    return "stats" in cluster.missing or cluster.book.tick >= ticks


def interesting_pod(cluster: Cluster) -> str:
    """The pod that shows most: running, and of those the one whose CPU moves most."""
    best, most = "", -1.0
    for pod in cluster.pods().values():
        if status(cluster, pod)[0] != "Running":
            continue
        values = [v for v in cluster.book.pod_values(key_of(pod), "cpu", 60) if v == v]
        spread = max(values) - min(values) if values else 0.0
        if spread > most:
            best, most = key_of(pod), spread
    return best or next(iter(cluster.pods()), "")


async def talkative_pod(cluster: Cluster) -> str:
    """The pod whose log has most lines."""
    best, most = interesting_pod(cluster), -1
    for key, pod in sorted(cluster.pods().items()):
        if not pod.status.container_statuses:
            continue
        name = pod.spec.containers[0].name
        meta = pod.metadata
        try:
            lines = [
                line
                async for line in cluster.client.logs(meta.namespace, meta.name, name, tail=500)
            ]
        except StatusError:
            continue
        if len(lines) > most:
            best, most = key, len(lines)
    return best


async def place_of(view: str, cluster: Cluster) -> Place:
    """The place a view's name means. Raise ValueError for a name that means none."""
    if view == "overview":
        return OVERVIEW
    if view in ("pod", "logs", "describe", "yaml"):
        key = await talkative_pod(cluster) if view == "logs" else interesting_pod(cluster)
        pod = cluster.pods()[key]
        part = pod.spec.containers[0].name if view == "logs" else ""
        return Place(view, "pods", key, part)
    if view in ("inside", "replay"):
        key = interesting_pod(cluster)
        return Place("container", "pods", key, cluster.pods()[key].spec.containers[0].name)
    if view == "xray":
        return Place("xray", "pods", interesting_pod(cluster))
    if view in ("node", "image", "files"):
        kind = "nodes" if view == "node" else "images"
        return Place(view, kind, min(cluster.objects(kind)))
    resource = registry.find(view)
    if resource is None:
        raise ValueError(f"view {view!r}: there is no such view or kind")
    return Place("list", resource.plural)


async def capture(
    endpoint: Endpoint | Connection,
    files: Mapping[str, Path],
    *,
    size: tuple[int, int] = (120, 36),
    settled: Settled | None = None,
    ticks: int = CHART_TICKS,
    timeout_s: float = 120.0,
    cluster: str = "default",
) -> None:
    """Write pictures of views of a living cluster as SVG, by the view's name.

    Waits until the cluster is known, `settled` holds and the charts have `ticks` seconds of
    numbers. Raise NotSettled after `timeout_s` seconds, ValueError for an unknown view.
    """
    connection = endpoint.connection() if isinstance(endpoint, Endpoint) else endpoint
    app = PodariumApp(connection, cluster=cluster)
    async with app.run_test(size=size) as pilot:
        await _wait(app.cluster, settled, ticks, timeout_s)
        screen = app.screen
        assert isinstance(screen, MainScreen)
        await screen.arrived.wait()
        for view, file in files.items():
            await _show(screen, view)
            await _drawn(pilot)
            _write(file, picture(app))


async def _show(screen: MainScreen, view: str) -> None:
    """Go where a view's name says."""
    cluster = screen.cluster
    place = await place_of(view, cluster)
    if place.view == "list":
        screen.start_at(place)
        if place.kind == "pods":
            screen.table.move_to(screen.view.order.index(interesting_pod(cluster)))
        return
    screen.go(place)
    screen.log_view.timestamps = place.view == "logs"
    if view == "replay":
        await screen.desk.replay("toggle")
        replay = screen.pages.replay
        if replay is None:
            raise NotSettled(f"the start of {place.part} in {place.key} is not known")
        ops = [step.op for step in replay.steps]
        screen.desk.replaying.move(ops.index("overlay") + 1 if "overlay" in ops else 1)


def _write(file: Path, text: str) -> None:
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(file)


async def _wait(cluster: Cluster, settled: Settled | None, ticks: int, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    expected = settled or (lambda cluster: True)
    while not (cluster.synced and charted(cluster, ticks) and expected(cluster)):
        if time.monotonic() > deadline:
            states = ", ".join(
                f"{key} {status(cluster, pod)[0]}" for key, pod in cluster.pods().items()
            )
            raise NotSettled(
                f"the cluster has not settled after {timeout_s:.0f} s:"
                f" {cluster.state}, {cluster.book.tick + 1} ticks, {states or 'no pods'}"
            )
        await asyncio.sleep(0.1)


async def _drawn(pilot: Pilot[str]) -> None:
    """Let what was asked for arrive and be painted."""
    await pilot.pause(SETTLE_SECONDS)
    await pilot.pause()
