"""A node: what a machine, real or played, offers to pods."""

from __future__ import annotations

from typing import Annotated

from engine.types.declare import F, Quantity, Type, always
from engine.types.meta import Condition, Object


class Taint(Type, kw_only=True):
    """Keeps pods away that do not tolerate it."""

    key: Annotated[str, F("Its key.", 1)] = always("")
    value: Annotated[str, F("Its value.", 2)] = ""
    effect: Annotated[str, F("NoSchedule, PreferNoSchedule or NoExecute.", 3)] = always("")
    time_added: Annotated[str | None, F("When it was put.", 4)] = None


class NodeSpec(Type, kw_only=True):
    """What a node should be."""

    pod_cidr: Annotated[str, F("Addresses of its pods.", 1)] = ""
    pod_cidrs: Annotated[list[str], F("Addresses of its pods.", 7, strategy="merge")] = []
    provider_id: Annotated[str, F("Name at the provider.", 3)] = ""
    unschedulable: Annotated[bool, F("Whether it takes no new pods.", 4)] = False
    taints: Annotated[list[Taint], F("Taints.", 5)] = []


class NodeCondition(Condition, kw_only=True):
    """One observed aspect of a node."""

    last_heartbeat_time: Annotated[str | None, F("When it was last looked at.", 3)] = None


class NodeAddress(Type, kw_only=True):
    """An address of a node."""

    type: Annotated[str, F("InternalIP, ExternalIP or Hostname.", 1)] = always("")
    address: Annotated[str, F("The address.", 2)] = always("")


class DaemonEndpoint(Type, kw_only=True):
    """A port a daemon listens on."""

    Port: Annotated[int, F("Port number.", 1)] = always(int)


class NodeDaemonEndpoints(Type, kw_only=True):
    """Ports of the node's daemons."""

    kubelet_endpoint: Annotated[DaemonEndpoint, F("Port of the kubelet.", 1)] = always(
        DaemonEndpoint
    )


class NodeSystemInfo(Type, kw_only=True):
    """The machine and its software."""

    machine_id: Annotated[str, F("/etc/machine-id.", 1)] = always("")
    system_uuid: Annotated[str, F("UUID of the machine.", 2)] = always("")
    boot_id: Annotated[str, F("Id of this boot.", 3)] = always("")
    kernel_version: Annotated[str, F("uname -r.", 4)] = always("")
    os_image: Annotated[str, F("PRETTY_NAME of /etc/os-release.", 5)] = always("")
    container_runtime_version: Annotated[str, F("podarium://VERSION.", 6)] = always("")
    kubelet_version: Annotated[str, F("Version of the kubelet.", 7)] = always("")
    kube_proxy_version: Annotated[str, F("Unused.", 8)] = always("")
    operating_system: Annotated[str, F("linux.", 9)] = always("")
    architecture: Annotated[str, F("amd64 or arm64.", 10)] = always("")


class ContainerImage(Type, kw_only=True):
    """An image that lies on a node."""

    names: Annotated[list[str], F("References and digests.", 1)] = []
    size_bytes: Annotated[int, F("Bytes.", 2)] = 0


class NodeStatus(Type, kw_only=True):
    """What is known of a node."""

    capacity: Annotated[dict[str, Quantity], F("What it has.", 1)] = {}
    allocatable: Annotated[dict[str, Quantity], F("What pods may use.", 2)] = {}
    phase: Annotated[str, F("Unused.", 3)] = ""
    conditions: Annotated[list[NodeCondition], F("Aspects.", 4, merge_key="type")] = []
    addresses: Annotated[list[NodeAddress], F("Addresses.", 5, merge_key="type")] = []
    daemon_endpoints: Annotated[NodeDaemonEndpoints, F("Ports of daemons.", 6)] = always(
        NodeDaemonEndpoints
    )
    node_info: Annotated[NodeSystemInfo, F("The machine and its software.", 7)] = always(
        NodeSystemInfo
    )
    images: Annotated[list[ContainerImage], F("Images that lie here.", 8)] = []


class Node(Object, kw_only=True):
    """A machine that runs pods."""

    api_version: Annotated[str, F("Group and version of the schema.")] = always("v1")
    kind: Annotated[str, F("Name of the schema.")] = always("Node")
    spec: Annotated[NodeSpec, F("What it should be.", 2)] = always(NodeSpec)
    status: Annotated[NodeStatus, F("What is known of it.", 3)] = always(NodeStatus)
