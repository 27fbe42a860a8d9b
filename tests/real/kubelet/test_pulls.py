"""Images that a node does not have: pulled for its pods, with the kubelet's words."""

import asyncio
import base64
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.images.types import MANIFEST_LIMIT
from engine.types import codec
from engine.types.core import Secret
from tests.real.images.registry.server import Server, docker_registry
from tests.real.images.registry.test_docker_registry import skopeo
from tests.real.kubelet.conftest import IMAGE, NOTHING, PATIENCE_S, Cluster
from tests.real.kubelet.test_pods import main, running, waits_for
from tests.unit.images.registry.fake import FakeRegistry, Handler

SLEEP: dict[str, Any] = {"command": ["sleep", "1000"]}


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry().running() as registry:
        yield registry


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with docker_registry(tmp_path / "registry") as server:
        yield server


def offer(cluster: Cluster, registry: FakeRegistry, tag: str = "1") -> str:
    """Let the registry have the host image, and the node not under that name."""
    image, blobs = cluster.images.resolve(IMAGE), cluster.images.blobs
    kind = "application/vnd.oci.image.manifest.v1+json"
    registry.manifest(tag, blobs.read(image.digest, MANIFEST_LIMIT), kind)
    for digest in (image.config_digest, *(layer.digest for layer in image.layers)):
        registry.blobs[str(digest)] = blobs.path(digest).read_bytes()
    return f"{registry.host}/x:{tag}"


async def test_a_pod_runs_an_image_of_a_registry(cluster: Cluster, server: Server) -> None:
    name = f"{server.host}/team/app:1"
    skopeo("copy", f"oci:{cluster.images.root}:docker.io/{IMAGE}", f"docker://{name}")
    await cluster.run("p", {**SLEEP, "image": name})
    pod = await cluster.until("p", running)
    assert main(pod).image_id == str(cluster.images.resolve(name).digest)
    told = await cluster.messages("p")
    assert told[0] == f'Pulling image "{name}"'
    number = r"\d+(\.\d+)?m?s"
    assert re.fullmatch(
        rf'Successfully pulled image "{re.escape(name)}" in {number} \({number} including'
        rf" waiting\)\. Image size: {cluster.images.resolve(name).size} bytes\.",
        told[1],
    )
    assert await cluster.events("p") == ["Pulling", "Pulled", "Created", "Started"]
    await cluster.delete("p", grace=0)
    cluster.images.remove(name)


async def test_if_not_present_asks_once_and_always_each_time(
    cluster: Cluster, registry: FakeRegistry
) -> None:
    name = offer(cluster, registry)
    for number, policy in enumerate(("IfNotPresent", "IfNotPresent", "Always", "Never")):
        await cluster.run(f"p{number}", {**SLEEP, "image": name, "imagePullPolicy": policy})
        await cluster.until(f"p{number}", running)
        await cluster.delete(f"p{number}", grace=0)
    assert len(registry.asked("GET", "manifests/1")) == 2
    assert (await cluster.events("p1"))[0] == "Pulled"
    assert (await cluster.events("p2"))[:2] == ["Pulling", "Pulled"]
    cluster.images.remove(name)


async def test_the_host_image_is_never_asked_for(cluster: Cluster) -> None:
    await cluster.run("p", {**SLEEP, "imagePullPolicy": "Always"})
    await cluster.until("p", running)
    assert (await cluster.events("p"))[0] == "Pulled"
    await cluster.delete("p", grace=0)


async def test_what_the_registry_says_is_said(cluster: Cluster, registry: FakeRegistry) -> None:
    name = f"{registry.host}/x:gone"
    await cluster.run("p", {**SLEEP, "image": name})
    pod = await cluster.until("p", waits_for("ErrImagePull"))
    words = f"registry {registry.host}: has no image x:gone (MANIFEST_UNKNOWN: no such tag)"
    assert main(pod).state.waiting.message == f'failed to pull image "{name}": {words}'
    pod = await cluster.until("p", waits_for("ImagePullBackOff"))
    assert main(pod).state.waiting.message.startswith(f'Back-off pulling image "{name}": ErrImage')
    await cluster.until_told(
        "p",
        {
            f'Failed to pull image "{name}": {words}',
            "Error: ErrImagePull",
            f'Back-off pulling image "{name}"',
        },
    )
    await cluster.delete("p", grace=0)


async def test_never_and_names_that_are_none(cluster: Cluster, registry: FakeRegistry) -> None:
    name = f"{registry.host}/x:1"
    await cluster.run("never", {**SLEEP, "image": name, "imagePullPolicy": "Never"})
    pod = await cluster.until("never", waits_for("ErrImageNeverPull"))
    assert main(pod).state.waiting.message == (
        f'Container image "{name}" is not present with pull policy of Never'
    )
    await cluster.run("odd", {**SLEEP, "image": "x//y"})
    pod = await cluster.until("odd", waits_for("InvalidImageName"))
    assert "image reference 'x//y'" in main(pod).state.waiting.message
    assert not registry.seen
    for each in ("never", "odd"):
        await cluster.delete(each, grace=0)


async def test_a_deletion_does_not_wait_for_a_slow_registry(
    cluster: Cluster, registry: FakeRegistry
) -> None:
    name = offer(cluster, registry)
    asked, released = threading.Event(), threading.Event()

    def action(handler: Handler) -> None:
        handler.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"{")
        asked.set()
        released.wait(60)

    registry.on("GET", "manifests/", action)
    await cluster.run("p", {**SLEEP, "image": name})
    assert await asyncio.to_thread(asked.wait, PATIENCE_S)
    pod = await cluster.until("p", main)
    assert main(pod).state.waiting.reason == "ContainerCreating"
    await cluster.delete("p", grace=0)
    assert await cluster.settled() == NOTHING
    released.set()


async def test_pods_that_want_one_image_pull_it_once(
    cluster: Cluster, registry: FakeRegistry
) -> None:
    name = offer(cluster, registry)
    go = threading.Event()

    def action(handler: Handler) -> None:
        go.wait(60)
        registry._route(handler)

    registry.on("GET", "manifests/", action)
    for number in range(4):
        await cluster.run(f"p{number}", {**SLEEP, "image": name, "imagePullPolicy": "Always"})
    for number in range(4):
        await cluster.until_told(f"p{number}", {f'Pulling image "{name}"'})
    go.set()
    for number in range(4):
        await cluster.until(f"p{number}", running)
    assert len(registry.asked("GET", "manifests/")) == 1
    cluster.images.remove(name)


async def test_pull_secrets(cluster: Cluster, registry: FakeRegistry) -> None:
    name = offer(cluster, registry)
    registry.auth = "basic"
    spec = {"imagePullSecrets": [{"name": "login"}]}
    await cluster.run("p", {**SLEEP, "image": name}, **spec)
    pod = await cluster.until("p", waits_for("ErrImagePull"))
    assert "asks for a name and a password" in main(pod).state.waiting.message
    await cluster.until_told(
        "p",
        {
            "Unable to retrieve some image pull secrets (login); attempting to pull the image may"
            " not succeed."
        },
    )
    document = json.dumps({"auths": {registry.host: {"username": "u", "password": "p"}}})
    secret = codec.from_dict(
        Secret,
        {
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": base64.b64encode(document.encode()).decode()},
        },
    )
    secret.metadata.name, secret.metadata.namespace = "login", "default"
    await cluster.client.create(secret)
    await cluster.until("p", running)  # its coming is noticed
    await cluster.delete("p", grace=0)
    cluster.images.remove(name)
