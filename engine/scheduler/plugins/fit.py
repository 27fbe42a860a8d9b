"""NodeResourcesFit: what a pod requests must be free; emptier, more even nodes are liked."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engine.scheduler.columns import Columns, Ints, Mask
from engine.scheduler.event import Change
from engine.scheduler.plugins.base import BEST, Plugin
from engine.scheduler.pod import PodInfo


class Fit(Plugin):
    """Filter on every requested resource; LeastAllocated score over cpu and memory."""

    name = "NodeResourcesFit"
    helped_by = Change.NODE_ADDED | Change.NODE_ALLOCATABLE | Change.POD_GONE

    def mask(self, cluster: Columns, pod: PodInfo) -> Mask | None:
        mask = cluster.requested["pods"] < cluster.allocatable["pods"]
        for name, wanted in pod.requests.items():
            mask &= self._room(cluster, name, wanted)
        return mask

    def _room(self, cluster: Columns, name: str, wanted: int) -> Mask:
        allocatable = cluster.allocatable.get(name)
        if allocatable is None:
            return np.zeros(cluster.rows, np.bool_)
        return cluster.requested[name] + wanted <= allocatable

    def reasons(self, cluster: Columns, pod: PodInfo, rejected: Mask) -> Iterator[tuple[str, Mask]]:
        full = rejected & (cluster.requested["pods"] >= cluster.allocatable["pods"])
        if full.any():
            yield "Too many pods", full
        for name, wanted in pod.requests.items():
            short = rejected & ~self._room(cluster, name, wanted)
            if short.any():
                yield f"Insufficient {name}", short

    def score(self, cluster: Columns, pod: PodInfo) -> Ints | None:
        return (
            _free(cluster.allocatable["cpu"], cluster.scored_cpu + pod.scored_cpu)
            + _free(cluster.allocatable["memory"], cluster.scored_memory + pod.scored_memory)
        ) // 2


def _free(allocatable: Ints, used: Ints) -> Ints:
    free: Ints = np.maximum(allocatable - used, 0)
    # A float division, cut to whole numbers, is exact here and ten times faster than `//`.
    return (free * BEST / np.maximum(allocatable, 1)).astype(np.int64)


class Balance(Plugin):
    """NodeResourcesBalancedAllocation: cpu and memory should be used up at the same pace."""

    name = "NodeResourcesBalancedAllocation"

    def score(self, cluster: Columns, pod: PodInfo) -> Ints | None:
        if not pod.requests:
            return None
        cpu = _fraction(cluster, "cpu", pod)
        memory = _fraction(cluster, "memory", pod)
        return ((1 - np.abs(cpu - memory) / 2) * BEST).astype(np.int64)


def _fraction(cluster: Columns, name: str, pod: PodInfo) -> NDArray[np.float64]:
    used = cluster.requested[name] + pod.requests.get(name, 0)
    fraction: NDArray[np.float64] = used / np.maximum(cluster.allocatable[name], 1)
    return fraction
