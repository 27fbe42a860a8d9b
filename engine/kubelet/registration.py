"""The node as the API knows it: a Node object, kept true, and a Lease that says the node lives.

The lease is renewed every ten seconds; the status is sent when it changes, and every five minutes.
"""

import asyncio
import logging
import os
import platform
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from engine.client.client import Client
from engine.client.errors import Unreachable
from engine.images.types import Image
from engine.kubelet.node import LocalNode, NodeConfig
from engine.types import clock, codec, quantity, version
from engine.types.coordination import Lease, LeaseSpec
from engine.types.declare import Quantity
from engine.types.meta import ObjectMeta, owner_reference
from engine.types.nodes import (
    ContainerImage,
    Node,
    NodeAddress,
    NodeCondition,
    NodeSpec,
    NodeStatus,
    NodeSystemInfo,
)
from engine.types.nodestatus import node_ready
from engine.types.status import AlreadyExists, NotFound, StatusError

LEASE_NAMESPACE = "kube-node-lease"
LEASE_S = 40
RENEW_S = 10.0
STATUS_S = 300.0
RETRY_S = 1.0
# The kubelet's default hard eviction threshold, nodefs.available.
DISK_PRESSURE = 0.10
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

log = logging.getLogger(__name__)


def labels(config: NodeConfig) -> dict[str, str]:
    """What a node is labelled with from its birth."""
    arch = architecture()
    return {
        "beta.kubernetes.io/arch": arch,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": arch,
        "kubernetes.io/hostname": config.name,
        "kubernetes.io/os": "linux",
        "podarium.io/node-index": str(config.index),
    }


def architecture() -> str:
    """This machine's, in Go's words."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def system_info() -> NodeSystemInfo:
    """The machine and its software."""
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    return NodeSystemInfo(
        machine_id=_line("/etc/machine-id"),
        system_uuid=_line("/sys/class/dmi/id/product_uuid"),
        boot_id=_line("/proc/sys/kernel/random/boot_id"),
        kernel_version=os.uname().release,
        os_image=release.get("PRETTY_NAME", "Linux"),
        container_runtime_version=f"podarium://{version.PODARIUM}",
        kubelet_version=version.KUBERNETES,
        operating_system="linux",
        architecture=architecture(),
    )


def _line(path: str) -> str:
    """The first line of a file that may be missing, or not for us to read."""
    try:
        return Path(path).read_text().strip()
    except (FileNotFoundError, PermissionError):
        return ""


def node_status(
    config: NodeConfig, info: NodeSystemInfo, images: Sequence[Image], disk: tuple[int, int]
) -> NodeStatus:
    """A node's status but for its conditions. `disk` is (free, total) bytes of where pods write."""
    resources: dict[str, Quantity] = {
        "cpu": quantity.format_cpu(config.cpu),
        "memory": f"{config.memory // 1024}Ki",
        "pods": str(config.pods),
        "ephemeral-storage": f"{(config.storage or disk[1]) // 1024}Ki",
    }
    return NodeStatus(
        capacity=resources,
        allocatable=resources,
        addresses=[
            NodeAddress(type="InternalIP", address=config.host_ip),
            NodeAddress(type="Hostname", address=config.name),
        ],
        node_info=info,
        images=[
            ContainerImage(names=[image.reference], size_bytes=image.size)
            for image in sorted(images, key=lambda image: -image.size)
        ],
    )


def conditions(
    before: Sequence[NodeCondition],
    disk: tuple[int, int],
    runtime: bool,
    now: float,
    *,
    memory: bool = False,
) -> list[NodeCondition]:
    """Ready and the three pressures; a condition's time changes with its status only.

    `disk` is (free, total) bytes; `runtime` whether containers can be started, `memory` whether
    there is too little.
    """
    free, total = disk
    full = total > 0 and free / total < DISK_PRESSURE
    wanted = {
        "MemoryPressure": (
            True,
            "KubeletHasInsufficientMemory",
            "kubelet has insufficient memory available",
        )
        if memory
        else (
            False,
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available",
        ),
        "DiskPressure": (True, "KubeletHasDiskPressure", "kubelet has disk pressure")
        if full
        else (False, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        "PIDPressure": (False, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        "Ready": (True, "KubeletReady", "kubelet is posting ready status")
        if runtime
        else (False, "KubeletNotReady", "container runtime is down: the node's keeper has died"),
    }
    known = {condition.type: condition for condition in before}
    heartbeat = clock.format(now)
    result = []
    for kind, (true, reason, message) in wanted.items():
        status, old = "True" if true else "False", known.get(kind)
        since = old.last_transition_time if old and old.status == status else None
        result.append(
            NodeCondition(
                type=kind,
                status=status,
                reason=reason,
                message=message,
                last_heartbeat_time=heartbeat,
                last_transition_time=since or heartbeat,
            )
        )
    return result + [c for kind, c in known.items() if kind not in wanted]


class Registration:
    """Keeps one node's Node object and Lease."""

    def __init__(self, client: Client, node: LocalNode) -> None:
        self._client = client
        self._node = node
        self._config = node.config
        self._info = system_info()
        self._changed = asyncio.Event()
        self._runtime = True
        self._memory = False

    def runtime_down(self) -> None:
        """No container can be started: the node is not Ready."""
        self._runtime = False
        self.wake()

    def runtime_up(self) -> None:
        self._runtime = True
        self.wake()

    def under_pressure(self, memory: bool) -> None:
        """Whether there is too little memory."""
        if memory != self._memory:
            self._memory = memory
            self.wake()

    def wake(self) -> None:
        """The status may have changed."""
        self._changed.set()

    async def register(self) -> None:
        """Make the Node, or bring an older one up to date; tried until the API takes it."""
        while True:
            try:
                node = await self._ensure()
                await self._renew(node)
                await self._report()
                return
            except (Unreachable, StatusError) as error:
                log.warning("node %s cannot register: %s", self._config.name, error)
                await asyncio.sleep(RETRY_S)

    async def _ensure(self) -> Node:
        name = self._config.name
        spec = NodeSpec(pod_cidr=self._config.pod_cidr, pod_cidrs=[self._config.pod_cidr])
        try:
            return await self._client.create(
                Node(metadata=ObjectMeta(name=name, labels=labels(self._config)), spec=spec)
            )
        except AlreadyExists:
            patch = {
                "metadata": {"labels": labels(self._config)},
                "spec": {"podCIDR": spec.pod_cidr, "podCIDRs": spec.pod_cidrs},
            }
            return await self._client.patch(Node, name, None, patch)

    async def keep(self) -> None:
        """Report changes and, every five minutes, that nothing changed; until cancelled."""
        while True:
            try:
                async with asyncio.timeout(STATUS_S):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            try:
                await self._report()
            except NotFound:
                await self.register()
            except (Unreachable, StatusError) as error:
                log.warning("status of node %s: %s", self._config.name, error)

    async def beat(self) -> None:
        """Renew the lease every ten seconds, until cancelled.

        A node that others called Unknown while it was silent says at once what it is.
        """
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                node = await self._client.get(Node, self._config.name)
                await self._renew(node)
                if node_ready(node) != self._runtime:
                    self.wake()
            except NotFound:
                await self.register()
            except (Unreachable, StatusError) as error:
                log.warning("lease of node %s: %s", self._config.name, error)

    async def _report(self) -> None:
        node = await self._client.get(Node, self._config.name)
        images = await asyncio.to_thread(self._node.images.images)
        self._node.paths.state.mkdir(parents=True, exist_ok=True)
        usage = shutil.disk_usage(self._node.paths.state)
        disk = (usage.free, usage.total)
        status = node_status(self._config, self._info, images, disk)
        status.conditions = conditions(
            node.status.conditions, disk, self._runtime, time.time(), memory=self._memory
        )
        patch = {"status": codec.to_dict(status)}
        await self._client.patch(Node, self._config.name, None, patch, subresource="status")

    async def _renew(self, node: Node) -> None:
        name = self._config.name
        renewed = clock.now_micro()
        try:
            patch = {"spec": {"renewTime": renewed, "holderIdentity": name}}
            await self._client.patch(Lease, name, LEASE_NAMESPACE, patch)
        except NotFound:
            lease = Lease(
                metadata=ObjectMeta(
                    name=name,
                    namespace=LEASE_NAMESPACE,
                    owner_references=[owner_reference(node, controller=False)],
                ),
                spec=LeaseSpec(
                    holder_identity=name,
                    lease_duration_seconds=LEASE_S,
                    acquire_time=renewed,
                    renew_time=renewed,
                ),
            )
            await self._client.create(lease)
