"""PodTopologySpread: pods that belong together are spread over nodes, zones or any label.

Hard constraints (DoNotSchedule) filter, soft ones (ScheduleAnyway) score. A pod without
constraints is softly spread over the nodes among the pods of its own controller.
"""

from collections.abc import Iterator
from functools import partial
from math import log

import numpy as np
from numpy.typing import NDArray

from engine.scheduler.columns import Columns, Ints, Mask
from engine.scheduler.event import Change, Event
from engine.scheduler.plugins.affinity import NodeAffinity
from engine.scheduler.plugins.base import BEST, Plugin
from engine.scheduler.plugins.taints import Taints
from engine.scheduler.pod import PodInfo
from engine.scheduler.wishes import Spread

AFFINITY = NodeAffinity()
TAINTS = Taints()


class TopologySpread(Plugin):
    name = "PodTopologySpread"
    weight = 2
    helped_by = (
        Change.NODE_ADDED
        | Change.NODE_LABELS
        | Change.NODE_GONE
        | Change.POD_PLACED
        | Change.POD_LABELS
        | Change.POD_GONE
    )

    def mask(self, cluster: Columns, pod: PodInfo) -> Mask | None:
        mask: Mask | None = None
        for constraint in pod.spread:
            if constraint.hard:
                domains = cluster.domains(constraint.topology_key)
                allowed = (domains >= 0) & self._within_skew(cluster, pod, constraint, domains)
                mask = allowed if mask is None else mask & allowed
        return mask

    def _within_skew(self, cluster: Columns, pod: PodInfo, c: Spread, domains: Ints) -> Mask:
        eligible = (domains >= 0) & _counted_nodes(cluster, pod, c)
        if not eligible.any():
            return np.ones(cluster.rows, np.bool_)
        pods = cluster.count_pods(pod.namespace, c.counted, partial(_is_counted, c))
        per_domain = cluster.per_domain(domains, pods, eligible)
        present = np.bincount(domains[eligible], minlength=len(per_domain)) > 0
        enough = int(np.count_nonzero(present)) >= c.min_domains
        lowest = int(per_domain[present].min()) if enough else 0
        itself = 1 if _is_counted(c, pod) else 0
        within: Mask = per_domain[domains] + itself - lowest <= c.max_skew
        return within

    def reasons(self, cluster: Columns, pod: PodInfo, rejected: Mask) -> Iterator[tuple[str, Mask]]:
        text = "node(s) didn't match pod topology spread constraints"
        unlabelled: Mask = np.zeros(cluster.rows, np.bool_)
        for constraint in pod.spread:
            if constraint.hard:
                unlabelled |= cluster.domains(constraint.topology_key) < 0
        missing = rejected & unlabelled
        if missing.any():
            yield f"{text} (missing required label)", missing
        skewed = rejected & ~unlabelled
        if skewed.any():
            yield text, skewed

    def score(self, cluster: Columns, pod: PodInfo) -> Ints | None:
        soft = [c for c in pod.spread if not c.hard]
        if not pod.spread and pod.owner:
            siblings = cluster.count_pods(pod.owner, "siblings", _anyone)
            return siblings if siblings.any() else None
        if not soft:
            return None
        total: NDArray[np.float64] = np.zeros(cluster.rows)
        lacking: Mask = np.zeros(cluster.rows, np.bool_)
        for c in soft:
            domains = cluster.domains(c.topology_key)
            labelled = (domains >= 0) & cluster.alive
            lacking |= ~labelled
            pods = cluster.count_pods(pod.namespace, c.counted, partial(_is_counted, c))
            per_domain = cluster.per_domain(domains, pods, labelled)
            # The weight makes a key with many domains count more, where few pods share a domain.
            total += per_domain[domains] * log(len(per_domain) + 2) + (c.max_skew - 1)
        score = np.rint(total).astype(np.int64)
        score[lacking] = -1
        return score

    def normalise(self, raw: Ints, feasible: Mask) -> Ints:
        counted = raw[feasible & (raw >= 0)]
        if not counted.size:
            return np.zeros_like(raw)
        top, bottom = int(counted.max()), int(counted.min())
        if top == 0:
            return np.where(raw < 0, 0, BEST)
        return np.where(raw < 0, 0, BEST * (top + bottom - raw) // top)

    def helps(self, event: Event, pod: PodInfo) -> bool:
        if event.pod is not None:
            return event.pod.namespace == pod.namespace and super().helps(event, pod)
        return super().helps(event, pod)


def _is_counted(constraint: Spread, pod: PodInfo) -> bool:
    return constraint.counted.matches(pod.labels)


def _anyone(pod: PodInfo) -> bool:
    return True


def _counted_nodes(cluster: Columns, pod: PodInfo, c: Spread) -> Mask:
    """Nodes whose domain takes part: the pod could go there, as far as the constraint looks."""
    mask = cluster.alive
    if c.honor_affinity:
        matching = AFFINITY.mask(cluster, pod)
        mask = mask if matching is None else mask & matching
    if c.honor_taints:
        borne = TAINTS.mask(cluster, pod)
        mask = mask if borne is None else mask & borne
    return mask
