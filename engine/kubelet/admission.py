"""Whether a pod that is bound to this node fits on it. Pure.

The scheduler has seen to that, unless the pod named its node itself, or two decisions crossed. What
does not fit fails for good, so that whoever made the pod can make another one elsewhere.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from engine.kubelet.qos import pod_requests
from engine.types.pods import Pod

# Kubernetes' list (pkg/kubelet/sysctl/safe_sysctls.go): of a pod's own namespaces, and harmless to
# the node and to others on it.
SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)


@dataclass(frozen=True, slots=True)
class Room:
    """What a node has: millicores, bytes, pods."""

    milli: int
    memory: int
    pods: int


def rejection(pod: Pod, others: Iterable[Pod], room: Room) -> tuple[str, str] | None:
    """(reason, message) when `pod` does not fit beside the `others`, or asks for what no pod gets
    here; None when it does."""
    if wrong := _forbidden_sysctl(pod):
        return "SysctlForbidden", f"forbidden sysctl: {wrong}"
    others = list(others)
    cpu, memory = pod_requests(pod)
    used = [pod_requests(other) for other in others]
    for name, asked, taken, capacity in (
        ("cpu", cpu, sum(each[0] for each in used), room.milli),
        ("memory", memory, sum(each[1] for each in used), room.memory),
        ("pods", 1, len(others), room.pods),
    ):
        if asked and taken + asked > capacity:
            return (
                f"OutOf{name}",
                f"Pod was rejected: Node didn't have enough resource: {name},"
                f" requested: {asked}, used: {taken}, capacity: {capacity}",
            )
    return None


def _forbidden_sysctl(pod: Pod) -> str:
    """Why the pod's kernel settings are refused, in the kubelet's words; "" when they are not."""
    context = pod.spec.security_context
    for each in context.sysctls if context else ():
        # Both spellings are Kubernetes': a slash stands for a dot.
        name = each.name.replace("/", ".")
        if name not in SAFE_SYSCTLS:
            return f'"{each.name}" not allowlisted'
        if pod.spec.host_network and name.startswith("net."):
            return f'"{each.name}" not allowed with host net enabled'
        if pod.spec.host_ipc and name.startswith("kernel."):
            return f'"{each.name}" not allowed with host ipc enabled'
    return ""
