"""From a pod's creation through the API's socket to the first instruction of its program."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from engine.client.client import Client
from engine.client.http import HttpTransport
from engine.home import ClusterPaths
from engine.types import codec
from engine.types.pods import Pod
from tests.bench.container import build_stamp


def measure(pods: int) -> list[float]:
    """Milliseconds of each, one after the other, on a cluster of three nodes."""
    home = Path(tempfile.mkdtemp(prefix="pdb"))
    command = [str(Path(sys.executable).with_name("podarium")), "--cluster", "bench"]
    env = {**os.environ, "PODARIUM_HOME": str(home)}
    try:
        build_stamp(home)
        subprocess.run([*command, "up"], env=env, check=True, stdout=subprocess.DEVNULL)
        return asyncio.run(_measure(ClusterPaths.of(home, "bench"), pods))
    finally:
        subprocess.run([*command, "down", "--purge"], env=env, stdout=subprocess.DEVNULL)
        shutil.rmtree(home)


async def _measure(paths: ClusterPaths, pods: int) -> list[float]:
    async with HttpTransport(unix=paths.api_socket) as transport:
        client = Client(transport)
        # The first pays for what is made once: unpacked layers, imports.
        times = [await _one(client, f"pod-{n}", paths.home) for n in range(pods + 1)]
    return times[1:]


async def _one(client: Client, name: str, folder: Path) -> float:
    listed = await client.list(Pod, "default", fields=f"metadata.name={name}")
    began = time.monotonic_ns()
    await client.create(codec.from_dict(Pod, _manifest(name, folder)))
    async for event in client.watch(
        Pod,
        "default",
        resource_version=listed.resource_version,
        fields=f"metadata.name={name}",
    ):
        if event.object.status.phase in ("Succeeded", "Failed"):
            break
    said = b"".join([part async for part in client.logs("default", name, "main")])
    return (int(said) - began) / 1e6


def _manifest(name: str, folder: Path) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "volumes": [{"name": "stamp", "hostPath": {"path": str(folder / "stamp")}}],
            "containers": [
                {
                    "name": "main",
                    "image": "podarium/host:latest",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["/stamp"],
                    "volumeMounts": [{"name": "stamp", "mountPath": "/stamp"}],
                }
            ],
        },
    }
