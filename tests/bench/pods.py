"""How soon a pod runs: created through the API's socket, seen Running by a watcher there.

One pod after the other, then a Deployment of a hundred until all are Ready; on a cluster of three
nodes of its own, over the same unix socket that the dashboard uses.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engine.client.client import Client
from engine.client.http import HttpTransport
from engine.home import ClusterPaths
from engine.types import codec
from engine.types.apps import Deployment
from engine.types.pods import Pod
from tests.bench.table import Row

PODS = 30
REPLICAS = 100
_CONTAINER = {
    "name": "main",
    "image": "podarium/host:latest",
    "imagePullPolicy": "IfNotPresent",
    "command": ["sleep", "100000"],
    "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}},
}
_SPEC = {"terminationGracePeriodSeconds": 0, "containers": [_CONTAINER]}


def measure(runs: int) -> list[Row]:
    """Pod create to Running (median and the slowest of 30), 100 replicas to Ready."""
    found = [_once() for _ in range(runs)]
    return [
        Row("pod created to Running, median", "ms", [each[0] for each in found], 100.0),
        Row(f"pod created to Running, slowest of {PODS}", "ms", [e[1] for e in found], 500.0),
        Row(f"Deployment of {REPLICAS} to all Ready", "s", [each[2] for each in found], 5.0),
    ]


def _once() -> tuple[float, float, float]:
    home = Path(tempfile.mkdtemp(prefix="pdb"))
    env = {**os.environ, "PODARIUM_HOME": str(home)}
    podarium = str(Path(sys.executable).with_name("podarium"))
    command = [podarium, "--cluster", "bench"]
    try:
        subprocess.run([*command, "up"], env=env, check=True, stdout=subprocess.DEVNULL)
        return asyncio.run(_measure(ClusterPaths.of(home, "bench")))
    finally:
        down = [*command, "down", "--purge"]
        subprocess.run(down, env=env, check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(home)


async def _measure(paths: ClusterPaths) -> tuple[float, float, float]:
    async with HttpTransport(unix=paths.api_socket) as transport:
        client = Client(transport)
        # The first pod pays for what is made once: unpacked layers, imports.
        times = [await _pod(client, f"pod-{number}") for number in range(PODS + 1)][1:]
        return statistics.median(times), max(times), await _deployment(client)


async def _pod(client: Client, name: str) -> float:
    pod = codec.from_dict(Pod, {"metadata": {"name": name}, "spec": _SPEC})
    listed = await client.list(Pod, "default", fields=f"metadata.name={name}")
    began = time.perf_counter()
    watch = client.watch(
        Pod,
        "default",
        resource_version=listed.resource_version,
        fields=f"metadata.name={name}",
    )
    creating = asyncio.create_task(client.create(pod))
    async for event in watch:
        if event.object.status.phase == "Running":
            break
    await creating
    return (time.perf_counter() - began) * 1000


async def _deployment(client: Client) -> float:
    labels = {"app": "many"}
    template = {"metadata": {"labels": labels}, "spec": _SPEC}
    many = codec.from_dict(
        Deployment,
        {
            "metadata": {"name": "many"},
            "spec": {
                "replicas": REPLICAS,
                "selector": {"matchLabels": labels},
                "template": template,
            },
        },
    )
    listed = await client.list(Deployment, "default")
    began = time.perf_counter()
    await client.create(many)
    async for event in client.watch(
        Deployment, "default", resource_version=listed.resource_version
    ):
        if event.object.status.ready_replicas == REPLICAS:
            break
    return time.perf_counter() - began
