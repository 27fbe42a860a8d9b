"""NodeAffinity: node selector and required affinity filter, preferred affinity scores by weight."""

from collections.abc import Iterator, Sequence
from functools import partial

import msgspec
import numpy as np

from engine.scheduler.columns import Columns, Ints, Mask
from engine.scheduler.event import Change
from engine.scheduler.node import NodeInfo
from engine.scheduler.plugins.base import Plugin, scale_up
from engine.scheduler.pod import PodInfo
from engine.types.pods import NodeSelectorRequirement, NodeSelectorTerm


class NodeAffinity(Plugin):
    name = "NodeAffinity"
    weight = 2
    static = True
    helped_by = Change.NODE_ADDED | Change.NODE_LABELS

    def mask(self, cluster: Columns, pod: PodInfo) -> Mask | None:
        mask: Mask | None = None
        for key, value in pod.node_selector.items():
            labelled = cluster.where(("label", key, value), partial(_labelled, key, value))
            mask = labelled if mask is None else mask & labelled
        if pod.required_affinity is not None:
            matching = self._any_term(cluster, pod.required_affinity)
            mask = matching if mask is None else mask & matching
        return mask

    def _any_term(self, cluster: Columns, terms: Sequence[NodeSelectorTerm]) -> Mask:
        mask = np.zeros(cluster.rows, np.bool_)
        for term in terms:
            mask |= _term(cluster, term)
        return mask

    def reasons(self, cluster: Columns, pod: PodInfo, rejected: Mask) -> Iterator[tuple[str, Mask]]:
        yield "node(s) didn't match Pod's node affinity/selector", rejected

    def score(self, cluster: Columns, pod: PodInfo) -> Ints | None:
        if not pod.preferred_affinity:
            return None
        total = np.zeros(cluster.rows, np.int64)
        for preferred in pod.preferred_affinity:
            total += preferred.weight * _term(cluster, preferred.preference)
        return total

    def normalise(self, raw: Ints, feasible: Mask) -> Ints:
        return scale_up(raw, feasible)


def _labelled(key: str, value: str, node: NodeInfo) -> bool:
    return node.labels.get(key) == value


def _term(cluster: Columns, term: NodeSelectorTerm) -> Mask:
    key = ("term", msgspec.json.encode(term).decode())
    return cluster.where(key, lambda node: term_matches(term, node))


def term_matches(term: NodeSelectorTerm, node: NodeInfo) -> bool:
    """All expressions and fields of the term hold; an empty term matches no node."""
    if not term.match_expressions and not term.match_fields:
        return False
    return all(_holds(e, node.labels) for e in term.match_expressions) and all(
        _holds(f, {"metadata.name": node.name}) for f in term.match_fields
    )


def _holds(requirement: NodeSelectorRequirement, labels: dict[str, str]) -> bool:
    value = labels.get(requirement.key)
    values = requirement.values
    match requirement.operator:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            try:
                found, bound = int(value or ""), int(values[0])
            except ValueError:
                return False
            return found > bound if operator == "Gt" else found < bound
        case _:
            return False
