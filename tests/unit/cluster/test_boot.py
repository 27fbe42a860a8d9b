"""Starting a cluster: a step that fails takes those beside it along."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from engine.boot import BootLog
from engine.cluster import Cluster
from engine.home import ClusterPaths


def builders(images: Path) -> list[str]:
    """Who builds an image in that store."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if os.fsencode(images) in words:
            found.append(path.parent.name)
    return found


async def test_the_host_image_is_not_built_on_for_a_cluster_that_failed(tmp_path: Path) -> None:
    paths = ClusterPaths.of(tmp_path, "c")
    cluster = Cluster(paths, BootLog(tmp_path / "boot", time.monotonic()))
    building = asyncio.create_task(cluster._build_host_image())
    async with asyncio.timeout(60):
        while not builders(paths.images):  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.01)
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert builders(paths.images) == []
