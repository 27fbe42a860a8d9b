"""How requests and limits become cgroup settings, and who dies first when memory runs out.

All pure. CPU is in millicores, memory in bytes. The formulas are the kubelet's
(pkg/kubelet/cm/helpers_linux.go, pkg/kubelet/qos/policy.go).
"""

from collections.abc import Callable, Iterable

from engine.runtime.cgroup.api import Resources
from engine.types import quantity
from engine.types.containers import Container, ResourceRequirements
from engine.types.pods import Pod

CPU_PERIOD_US = 100_000
MIN_QUOTA_US = 1_000
MIN_SHARES = 2
MAX_SHARES = 262_144
DEFAULT_PIDS = 4096
"""Per pod. A fork bomb must not take the node's process table."""

GUARANTEED_OOM_SCORE = -997
BEST_EFFORT_OOM_SCORE = 1000
_COUNTED = ("cpu", "memory")


def cpu_shares(milli: int) -> int:
    return min(MAX_SHARES, max(MIN_SHARES, milli * 1024 // 1000))


def cpu_quota_us(milli: int) -> int | None:
    """Microseconds per period; None without a limit."""
    return max(MIN_QUOTA_US, milli * CPU_PERIOD_US // 1000) if milli else None


def qos_class(pod: Pod) -> str:
    """Guaranteed, Burstable or BestEffort."""
    containers = [*pod.spec.init_containers, *pod.spec.containers]
    if not any(_counted(c.resources.requests) | _counted(c.resources.limits) for c in containers):
        return "BestEffort"
    return "Guaranteed" if all(_guaranteed(c.resources) for c in containers) else "Burstable"


def _counted(resources: dict[str, str | int | float]) -> set[str]:
    return {name for name in _COUNTED if name in resources and quantity.parse(resources[name])}


def _guaranteed(resources: ResourceRequirements) -> bool:
    if _counted(resources.limits) != set(_COUNTED):
        return False
    return all(
        quantity.parse(resources.requests.get(name, resources.limits[name]))
        == quantity.parse(resources.limits[name])
        for name in _COUNTED
    )


def oom_score_adj(pod: Pod, container: Container, node_memory: int) -> int:
    """The more of the node's memory it asked for, the later it is killed (1000 is first)."""
    match qos_class(pod):
        case "Guaranteed":
            return GUARANTEED_OOM_SCORE
        case "BestEffort":
            return BEST_EFFORT_OOM_SCORE
    asked = _memory_request(container)
    score = 1000 - 1000 * asked // node_memory
    return min(BEST_EFFORT_OOM_SCORE - 1, max(1000 + GUARANTEED_OOM_SCORE, score))


def container_resources(container: Container, node_milli: int) -> Resources:
    """What one container's cgroup gets.

    A quota above the node's is none: v1 refuses a larger one.
    """
    limit = _memory_limit(container)
    return Resources(
        cpu_shares=cpu_shares(_cpu_request(container)),
        cpu_quota_us=cpu_quota_us(min(_cpu_limit(container), node_milli)),
        cpu_period_us=CPU_PERIOD_US,
        memory_limit=limit or None,
        # As Kubernetes has it on v2: a container without one of its processes is none.
        oom_group=True,
        pids_limit=None,
    )


def pod_resources(pod: Pod, node_milli: int) -> Resources:
    """What the pod's cgroup gets: sums, and a limit only where every container has one."""
    limit = min(_whole(pod, _cpu_limit), node_milli) if _every(pod, _cpu_limit) else 0
    return Resources(
        cpu_shares=cpu_shares(_whole(pod, _cpu_request)),
        cpu_quota_us=cpu_quota_us(limit),
        cpu_period_us=CPU_PERIOD_US,
        memory_limit=_whole(pod, _memory_limit) if _every(pod, _memory_limit) else None,
        pids_limit=DEFAULT_PIDS,
    )


def pod_requests(pod: Pod) -> tuple[int, int]:
    """What the pod is promised: millicores, bytes."""
    return _whole(pod, _cpu_request), _whole(pod, _memory_request)


def node_resources(cpu: float, memory: int) -> Resources:
    """What the node's cgroup gets: its capacity, so that a local node is as small as it says."""
    milli = round(cpu * 1000)
    return Resources(
        cpu_shares=cpu_shares(milli),
        cpu_quota_us=cpu_quota_us(milli),
        cpu_period_us=CPU_PERIOD_US,
        memory_limit=memory,
        pids_limit=None,
    )


def is_sidecar(container: Container) -> bool:
    """An init container that keeps running beside the others."""
    return container.restart_policy == "Always"


def _whole(pod: Pod, amount: Callable[[Container], int]) -> int:
    """The most the pod uses at once: init containers run one by one, beside earlier sidecars."""
    sidecars = peak = 0
    for container in pod.spec.init_containers:
        if is_sidecar(container):
            sidecars += amount(container)
        peak = max(peak, sidecars + (0 if is_sidecar(container) else amount(container)))
    return max(peak, sidecars + _sum(pod.spec.containers, amount))


def _sum(containers: Iterable[Container], amount: Callable[[Container], int]) -> int:
    return sum(amount(container) for container in containers)


def _every(pod: Pod, amount: Callable[[Container], int]) -> bool:
    return all(amount(c) for c in (*pod.spec.init_containers, *pod.spec.containers))


def _cpu_request(container: Container) -> int:
    requested = container.resources.requests.get("cpu")
    return _cpu_limit(container) if requested is None else quantity.milli(requested)


def _cpu_limit(container: Container) -> int:
    return quantity.milli(container.resources.limits.get("cpu", 0))


def _memory_request(container: Container) -> int:
    requested = container.resources.requests.get("memory")
    return _memory_limit(container) if requested is None else quantity.bytes_(requested)


def _memory_limit(container: Container) -> int:
    return quantity.bytes_(container.resources.limits.get("memory", 0))
