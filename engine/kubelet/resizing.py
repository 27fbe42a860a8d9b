"""Other resources for containers that run: their cgroups get them where they are, or, where a
container wants that, it starts again with them (KEP-1287)."""

import asyncio
from collections.abc import Iterable

from engine.kubelet import qos
from engine.kubelet.node import LocalNode
from engine.runtime.cgroup.api import UNLIMITED, Hierarchy, Resources
from engine.types.containers import Container, ResourceRequirements
from engine.types.pods import Pod


def restarts(container: Container, before: ResourceRequirements | None) -> bool:
    """Whether its resizePolicy wants a new life for what has changed since."""
    changed = {
        name
        for side in ("limits", "requests")
        for name in ("cpu", "memory")
        if before is not None
        and getattr(before, side).get(name) != getattr(container.resources, side).get(name)
    }
    return before is not None and any(
        rule.get("restartPolicy") == "RestartContainer" and rule.get("resourceName") in changed
        for rule in container.resize_policy
    )


async def resize(node: LocalNode, pod: Pod, changed: Iterable[tuple[Container, str]]) -> None:
    """Give each (container, id) what its pod says now, and the pod's own cgroup the sum.

    Raise OSError naming what could not be set, or a limit that more memory is in use than.
    """
    limits = {
        node.pod_cgroup(pod.metadata.uid) + b"/" + id.encode(): _whole(
            qos.container_resources(container, node.config.milli)
        )
        for container, id in changed
    }
    pod_limits = _whole(qos.pod_resources(pod, node.config.milli))
    cgroup = node.pod_cgroup(pod.metadata.uid)
    await asyncio.to_thread(_apply, node.hierarchy, cgroup, pod_limits, limits)


def _apply(
    hierarchy: Hierarchy, pod: bytes, pod_limits: Resources, limits: dict[bytes, Resources]
) -> None:
    for cgroup, wanted in limits.items():
        limit = wanted.memory_limit or UNLIMITED
        used = hierarchy.sample(cgroup).working_set
        if 0 <= limit < used:
            text = f"attempting to set memory limit ({limit}) below current usage ({used})"
            raise OSError(text)
    # The pod's own would be in the way of a container that gets more.
    hierarchy.limit(pod, Resources(cpu_quota_us=UNLIMITED, memory_limit=UNLIMITED))
    for cgroup, wanted in limits.items():
        hierarchy.limit(cgroup, wanted)
    hierarchy.limit(pod, pod_limits)


def _whole(resources: Resources) -> Resources:
    """With what is not limited any more said, too."""
    fields = resources.fields()
    for name in ("cpu_quota_us", "memory_limit"):
        if fields[name] is None:
            fields[name] = UNLIMITED
    return Resources(**fields)  # type: ignore[arg-type]
