"""One local node: what it is, and what all its pods share."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from engine.client.client import Client
from engine.client.events import EventRecorder
from engine.home import NodePaths
from engine.images.store import ImageStore
from engine.kubelet.admission import Room
from engine.kubelet.backoff import Backoff
from engine.kubelet.downward import NodeFacts
from engine.kubelet.privileges import machine_devices
from engine.kubelet.pulls import ImagePuller
from engine.kubelet.sources import Sources
from engine.linux.process import capget
from engine.network.ipam import PodPool
from engine.runtime.cgroup.api import Hierarchy
from engine.runtime.runtime import Runtime
from engine.runtime.spec import Device

CLUSTER_DOMAIN = "cluster.local"
RESOLV_CONF = Path("/etc/resolv.conf")


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What a node is: cpu in cores; memory and storage in bytes; its place among the nodes."""

    name: str
    index: int
    cpu: float
    memory: int
    pod_cidr: str
    host_ip: str
    pods: int = 110
    storage: int = 0

    @property
    def milli(self) -> int:
        return round(self.cpu * 1000)

    @property
    def room(self) -> Room:
        return Room(self.milli, self.memory, self.pods)

    @property
    def facts(self) -> NodeFacts:
        return NodeFacts(self.name, self.host_ip, self.cpu, self.memory, self.storage)


@dataclass(slots=True)
class LocalNode:
    """What the pods of a node work with.

    `runtime` changes, by replace(), when the node's keeper has died.
    """

    config: NodeConfig
    client: Client
    runtime: Runtime
    images: ImageStore
    puller: ImagePuller
    paths: NodePaths
    hierarchy: Hierarchy
    events: EventRecorder
    pool: PodPool
    sources: Sources
    crashes: Backoff = field(default_factory=Backoff)
    pulls: Backoff = field(default_factory=Backoff)
    image_turns: defaultdict[str, asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock)
    )
    _replaced: asyncio.Event = field(default_factory=asyncio.Event)

    def replace(self, runtime: Runtime) -> None:
        """Another keeper goes on for the one that died."""
        self.runtime = runtime
        self._replaced.set()
        self._replaced = asyncio.Event()

    async def another_than(self, lost: Runtime) -> Runtime:
        """The runtime that has come in the place of one that is lost, once there is one."""
        while self.runtime is lost:
            await self._replaced.wait()
        return self.runtime

    @property
    def devices(self) -> tuple[Device, ...]:
        """The machine's, as they are now."""
        return machine_devices()

    @property
    def held(self) -> int:
        """The capabilities that there are to give, as bits."""
        return capget()[1]

    def pod_cgroup(self, uid: str) -> bytes:
        return self.paths.cgroup + b"/pod" + uid.encode()

    def resolv_conf(self) -> str:
        """The machine's own; empty when it has none."""
        try:
            return RESOLV_CONF.read_text(errors="replace")
        except FileNotFoundError:
            return ""
