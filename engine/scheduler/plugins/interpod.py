"""InterPodAffinity: pods that must or would like to be near other pods, or far from them.

Near means: on nodes with the same value of the term's node label. What a placed pod keeps away
from itself counts too, so that the order in which two pods come does not matter.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np

from engine.scheduler.columns import EVERYWHERE, Columns, Ints, Mask
from engine.scheduler.event import Change
from engine.scheduler.plugins.base import BEST, Plugin
from engine.scheduler.pod import PodInfo
from engine.scheduler.wishes import Neighbours

Terms = tuple[Neighbours, ...]


class InterPodAffinity(Plugin):
    name = "InterPodAffinity"
    weight = 2
    helped_by = (
        Change.NODE_ADDED
        | Change.NODE_LABELS
        | Change.POD_PLACED
        | Change.POD_LABELS
        | Change.POD_GONE
    )

    def __init__(self) -> None:
        # Reasons are asked for right after the mask, of the same pod: no need to count twice.
        self._last: tuple[PodInfo | None, list[tuple[str, Mask]]] = (None, [])

    def mask(self, cluster: Columns, pod: PodInfo) -> Mask | None:
        refusals = list(self._refusals(cluster, pod))
        self._last = (pod, refusals)
        if not refusals:
            return None
        mask: Mask = ~np.logical_or.reduce([refused for _, refused in refusals])
        return mask

    def _refusals(self, cluster: Columns, pod: PodInfo) -> Iterator[tuple[str, Mask]]:
        if pod.company.near:
            yield "node(s) didn't match pod affinity rules", ~self._near_all(cluster, pod)
        for term in pod.company.far:
            pods = cluster.count_pods(EVERYWHERE, (term,), partial(_is_each, (term,)))
            yield (
                "node(s) didn't match pod anti-affinity rules",
                _around(cluster, term, pods) > 0,
            )
        for term, pods in cluster.averse.items():
            if term.matches(pod.namespace, pod.labels) and pods.any():
                yield (
                    "node(s) didn't satisfy existing pods anti-affinity rules",
                    _around(cluster, term, pods) > 0,
                )

    def _near_all(self, cluster: Columns, pod: PodInfo) -> Mask:
        """Nodes near a pod that all terms select. The first of a group that wants to be near its
        own kind has nobody to be near to, so it may go anywhere."""
        terms = pod.company.near
        pods = cluster.count_pods(EVERYWHERE, terms, partial(_is_each, terms))
        first = not pods.any() and _is_each(terms, pod)
        mask = np.ones(cluster.rows, np.bool_)
        for term in terms:
            if first:
                mask &= cluster.domains(term.topology_key) >= 0
            else:
                mask &= _around(cluster, term, pods) > 0
        return mask

    def reasons(self, cluster: Columns, pod: PodInfo, rejected: Mask) -> Iterator[tuple[str, Mask]]:
        # Kubernetes names one reason a node, the first of the three that is true of it.
        left = rejected.copy()
        by_text: dict[str, Mask] = {}
        judged, refusals = self._last
        for text, refused in refusals if judged is pod else self._refusals(cluster, pod):
            nodes = left & refused
            by_text[text] = by_text[text] | nodes if text in by_text else nodes
            left &= ~refused
        yield from ((text, nodes) for text, nodes in by_text.items() if nodes.any())

    def score(self, cluster: Columns, pod: PodInfo) -> Ints | None:
        if not pod.company.preferred:
            return None
        total = np.zeros(cluster.rows, np.int64)
        for weight, term in pod.company.preferred:
            pods = cluster.count_pods(EVERYWHERE, (term,), partial(_is_each, (term,)))
            total += weight * _around(cluster, term, pods)
        return total

    def normalise(self, raw: Ints, feasible: Mask) -> Ints:
        counted = raw[feasible]
        low, high = int(counted.min()), int(counted.max())
        return np.zeros_like(raw) if high == low else (raw - low) * BEST // (high - low)


def _is_each(terms: Terms, pod: PodInfo) -> bool:
    return all(term.matches(pod.namespace, pod.labels) for term in terms)


def _around(cluster: Columns, term: Neighbours, pods: Ints) -> Ints:
    """For each node, the counted pods on nodes of its domain; 0 without the label."""
    domains = cluster.domains(term.topology_key)
    labelled = (domains >= 0) & cluster.alive
    if cluster.is_unique(term.topology_key):
        return np.where(labelled, pods, 0)
    return np.where(labelled, cluster.per_domain(domains, pods, labelled)[domains], 0)
