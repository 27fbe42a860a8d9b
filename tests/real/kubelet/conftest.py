"""One real node: keeper, host image, API in this process, kubelet. Nothing of it is left behind."""

import asyncio
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from engine.api.direct import DirectTransport
from engine.api.handler import Api
from engine.client.client import Client
from engine.home import ClusterPaths
from engine.images.store import ImageStore
from engine.kubelet.gateway import Gateway
from engine.kubelet.kubelet import Kubelet
from engine.kubelet.node import NodeConfig
from engine.linux.flags import CLONE
from engine.linux.namespace import setns
from engine.runtime.cgroup.api import Hierarchy, detect
from engine.runtime.runtime import Origin, Runtime
from engine.store.store import Store
from engine.teardown import mounts_below
from engine.types import codec
from engine.types.core import Event
from engine.types.pods import Pod
from engine.types.registry import RESOURCES

IMAGE = "podarium/host:latest"
CIDR, GATEWAY = "10.99.1.0/24", "10.99.1.1"
PATIENCE_S = 30.0

Left = tuple[list[Path], list[bytes], list[str]]
NOTHING: Left = ([], [], [])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() != 0:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="containers need root"))


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the host image, made once for all test processes."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "images"
    command = [sys.executable, "-P", "-m", "engine.images.hostimage", "--root", str(root)]
    subprocess.run(command, check=True, capture_output=True)
    return root


@dataclass
class Cluster:
    """A cluster of one node, and how to wait for what happens in it."""

    paths: ClusterPaths
    client: Client
    api: Api
    images: ImageStore
    hierarchy: Hierarchy
    runtime: Runtime
    kubelet: Kubelet = field(init=False)
    gateway: Gateway = field(init=False)
    memory: int = 1 << 30
    _running: list[asyncio.Task[None]] = field(default_factory=list)

    async def start_kubelet(self) -> None:
        config = NodeConfig("n1", 1, 2.0, self.memory, CIDR, "10.99.0.11")
        self.kubelet = Kubelet(
            self.client,
            node=config,
            runtime=self.runtime,
            images=self.images,
            paths=self.paths.node("n1"),
            hierarchy=self.hierarchy,
            relaunch=self._relaunch,
        )
        self.gateway = Gateway([self.kubelet], self.paths.home)
        self.api.gateway = self.gateway
        self._running = [
            asyncio.create_task(self.kubelet.run()),
            asyncio.create_task(self.gateway.run()),
        ]
        async with asyncio.timeout(PATIENCE_S):
            await self.kubelet.ready.wait()

    async def stop_kubelet(self) -> None:
        for task in self._running:
            task.cancel()
        ended = await asyncio.gather(*self._running, return_exceptions=True)
        self.runtime = self.kubelet.node.runtime
        assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended

    async def restart_kubelet(self, *, stopped: bool = False) -> None:
        """As a new engine would: a new connection to the same keeper."""
        if not stopped:
            await self.stop_kubelet()
        self.runtime.close()
        self.runtime = await Runtime.launch(self.paths.node("n1"), node="n1")
        if self.runtime.beginning.origin is Origin.REPLACED:
            await asyncio.to_thread(make_bridge, self.runtime.netns_fd())
        await self.start_kubelet()

    async def _relaunch(self, lost: Runtime) -> Runtime:
        runtime = await Runtime.launch(self.paths.node("n1"), "n1", lost)
        if runtime.beginning.origin is not Origin.ADOPTED:
            await asyncio.to_thread(make_bridge, runtime.netns_fd())
        return runtime

    # What tests do

    async def run(self, name: str, *containers: dict[str, Any], **spec: Any) -> Pod:
        """Create a pod on the node. A container has the host image and name `main` by default."""
        spec["containers"] = [
            {"name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", **each}
            for each in containers
        ]
        spec.setdefault("nodeName", "n1")
        pod = codec.from_dict(Pod, {"spec": spec})
        pod.metadata.name, pod.metadata.namespace = name, "default"
        return await self.client.create(pod)

    def add_image(self, name: str) -> None:
        """Give the host image another name."""
        with self.images.busy():
            self.images.add(name, self.images.resolve(IMAGE).digest)

    async def strategic_patch(self, name: str, patch: dict[str, Any]) -> None:
        await self.client.raw(
            "PATCH",
            f"/api/v1/namespaces/default/pods/{name}",
            body=codec.encode(patch),
            content_type="application/strategic-merge-patch+json",
        )

    async def until(self, name: str, holds: Callable[[Pod], Any]) -> Pod:
        """Watch the pod until `holds` is true of it."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._watch(name, holds)
        except TimeoutError:
            pod = await self.client.get_raw(Pod, name, "default")
            raise AssertionError(f"never happened; the pod's status: {pod['status']}") from None

    async def _watch(self, name: str, holds: Callable[[Pod], Any]) -> Pod:
        fields = f"metadata.name={name}"
        listed = await self.client.list(Pod, "default", fields=fields)
        for pod in listed.items:
            if holds(pod):
                return pod
        events = self.client.watch(
            Pod, "default", resource_version=listed.resource_version, fields=fields
        )
        async for event in events:
            if event.type in ("ADDED", "MODIFIED") and holds(event.object):
                return event.object
        raise AssertionError("the watch ended")

    async def delete(self, name: str, grace: int | None = None) -> None:
        """Delete the pod and wait until it is gone."""
        listed = await self.client.list(Pod, "default", fields=f"metadata.name={name}")
        await self.client.delete(Pod, name, "default", grace_period=grace)
        if not listed.items:
            return
        watch = self.client.watch(
            Pod,
            "default",
            resource_version=listed.resource_version,
            fields=f"metadata.name={name}",
        )
        async with asyncio.timeout(PATIENCE_S):
            async for event in watch:
                if event.type == "DELETED":
                    return

    async def clear(self) -> None:
        """Remove what a test has left, so that the folders are ours alone."""
        for pod in (await self.client.list(Pod)).items:
            await self.client.delete(Pod, pod.metadata.name, "default", grace_period=0)
        await self.settled()

    async def log(self, name: str, container: str = "main", **options: Any) -> str:
        lines = [line async for line in self.client.logs("default", name, container, **options)]
        return b"\n".join(lines).decode()

    def follow(self, name: str) -> AsyncIterator[bytes]:
        return self.client.logs("default", name, "main", follow=True)

    async def events(self, name: str) -> list[str]:
        """The reasons of what happened to a pod, in order."""
        await self.kubelet.node.events.flush()
        found = await self.client.list(Event, "default", fields=f"involvedObject.name={name}")
        return [event.reason for event in found.items]

    async def settled(self) -> Left:
        """Files, cgroups and sandboxes of pods, once there are none or patience is over."""
        node, clock = self.paths.node("n1"), asyncio.get_running_loop()
        deadline = clock.time() + PATIENCE_S
        while True:
            files = [*node.pods.iterdir(), *node.logs.iterdir()]
            sandboxes = await self.kubelet.node.runtime.sandboxes()
            left = files, self.cgroups(), [state.id for state in sandboxes]
            if (not self.kubelet.pods and left == NOTHING) or clock.time() > deadline:
                return left
            await asyncio.sleep(0.01)

    async def messages(self, name: str) -> list[str]:
        """What was said of a pod."""
        await self.kubelet.node.events.flush()
        found = await self.client.list(Event, "default", fields=f"involvedObject.name={name}")
        return [event.message for event in found.items]

    async def until_told(self, name: str, messages: set[str]) -> None:
        """Watch the events of a pod until all these were among them."""
        fields = f"involvedObject.name={name}"
        listed = await self.client.list(Event, "default", fields=fields)
        told = {event.message for event in listed.items}
        watch = self.client.watch(
            Event, "default", resource_version=listed.resource_version, fields=fields
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not messages <= told:
                    told.add((await anext(watch)).object.message)
        except TimeoutError:
            raise AssertionError(f"never said: {messages - told}; said: {told}") from None

    async def _id(self, name: str) -> str:
        """The id of a pod's only container that runs."""
        pod = await self.client.get(Pod, name, "default")
        states = await self.kubelet.node.runtime.containers()
        (id,) = (s.id for s in states if s.sandbox == pod.metadata.uid and s.running)
        return id

    async def kill(self, name: str) -> None:
        """Let a pod's only container end as by an accident."""
        await self.kubelet.node.runtime.kill(await self._id(name))

    async def exec(self, name: str, *command: str) -> None:
        """Run a command in a pod's container `main`; it must succeed."""
        id = await self._id(name)
        result = await self.kubelet.node.runtime.exec(id, command, timeout_s=PATIENCE_S)
        assert result.exit_code == 0, result.output

    def cgroups(self) -> list[bytes]:
        return self.hierarchy.children(self.paths.node("n1").cgroup)


def make_bridge(netns: int) -> None:
    """The node's own bridge, and no cable to anywhere."""

    def run() -> None:
        setns(netns, CLONE.NEWNET)
        with IPRoute() as ip:
            ip.link("add", ifname="br0", kind="bridge")
            index = ip.link_lookup(ifname="br0")[0]
            ip.addr("add", index=index, address=GATEWAY, prefixlen=24)
            ip.link("set", index=index, state="up")

    with ThreadPoolExecutor(1) as thread:
        thread.submit(run).result()


@pytest.fixture
async def cluster(images: Path) -> AsyncIterator[Cluster]:
    home = Path(tempfile.mkdtemp(prefix="pdk-", dir="/tmp"))
    paths = ClusterPaths.of(home, f"k{secrets.token_hex(3)}")
    for folder in (paths.run, paths.state):
        folder.mkdir(parents=True)
    hierarchy = detect()
    volatile = [resource.key for resource in RESOURCES if not resource.durable]
    store = Store.open(paths.database, volatile=volatile)
    api = Api(store, name=paths.name, id=paths.id)
    await api.bootstrap()
    node = paths.node("n1")
    runtime = await Runtime.launch(node, node="n1")
    client = Client(DirectTransport(api))
    cluster = Cluster(paths, client, api, ImageStore(images), hierarchy, runtime)
    try:
        await asyncio.to_thread(make_bridge, runtime.netns_fd())
        await cluster.start_kubelet()
        yield cluster
        await cluster.clear()
        await cluster.stop_kubelet()
    finally:
        await cluster.runtime.shutdown()
        await api.close()
        await store.close()
        cluster.images.close()
        hierarchy.remove(paths.cgroup)
        left = mounts_below(home)
        shutil.rmtree(home)
        assert not left
