"""Wishes of a pod about other pods, ready to be counted: spread out, be near, keep away.

All are frozen and hashable: equal wishes share one counter in the columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.types import selector
from engine.types.meta import LabelSelector
from engine.types.pods import (
    PodAffinity,
    PodAffinityTerm,
    TopologySpreadConstraint,
    WeightedPodAffinityTerm,
)
from engine.types.selector import Requirement, Selector


@dataclass(frozen=True, slots=True)
class Spread:
    """A topology spread constraint; pods of the pod's own namespace are counted."""

    hard: bool
    topology_key: str
    max_skew: int
    min_domains: int
    honor_affinity: bool
    honor_taints: bool
    counted: Selector

    @classmethod
    def of(cls, constraint: TopologySpreadConstraint, labels: Mapping[str, str]) -> "Spread":
        """Read a constraint of a pod with these labels."""
        return cls(
            hard=constraint.when_unsatisfiable != "ScheduleAnyway",
            topology_key=constraint.topology_key,
            max_skew=constraint.max_skew,
            min_domains=constraint.min_domains or 1,
            honor_affinity=constraint.node_affinity_policy != "Ignore",
            honor_taints=constraint.node_taints_policy == "Honor",
            counted=_with_own(constraint.label_selector, labels, constraint.match_label_keys),
        )


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Pods to be near to, or far from: which ones, where, and what near means.

    Empty `namespaces` are all of them.
    """

    topology_key: str
    namespaces: frozenset[str]
    selected: Selector

    @classmethod
    def of(cls, term: PodAffinityTerm, namespace: str, labels: Mapping[str, str]) -> "Neighbours":
        """Read a term of a pod. Of namespace selectors the empty one (all) is understood."""
        namespaces = frozenset(term.namespaces or (namespace,))
        if term.namespace_selector is not None and not selector.of(term.namespace_selector):
            namespaces = frozenset()
        selected = _with_own(term.label_selector, labels, term.match_label_keys)
        for key in term.mismatch_label_keys:
            if key in labels:
                others = Requirement(key, "NotIn", (labels[key],))
                selected = Selector((*selected.requirements, others), selected.nothing)
        return cls(term.topology_key, namespaces, selected)

    def matches(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether a pod is one of them."""
        if self.namespaces and namespace not in self.namespaces:
            return False
        return self.selected.matches(labels)


@dataclass(frozen=True, slots=True)
class Company:
    """All a pod says about other pods; weights are negative for those to keep away from."""

    near: tuple[Neighbours, ...] = ()
    far: tuple[Neighbours, ...] = ()
    preferred: tuple[tuple[int, Neighbours], ...] = ()

    @classmethod
    def of(
        cls,
        affinity: PodAffinity | None,
        anti: PodAffinity | None,
        namespace: str,
        labels: Mapping[str, str],
    ) -> "Company":
        """Read both sides of a pod's affinity."""

        def read(terms: Sequence[PodAffinityTerm]) -> tuple[Neighbours, ...]:
            return tuple(Neighbours.of(term, namespace, labels) for term in terms)

        def weigh(
            terms: Sequence[WeightedPodAffinityTerm], sign: int
        ) -> tuple[tuple[int, Neighbours], ...]:
            return tuple(
                (sign * t.weight, Neighbours.of(t.pod_affinity_term, namespace, labels))
                for t in terms
            )

        near, far = affinity or PodAffinity(), anti or PodAffinity()
        return cls(
            near=read(near.required_during_scheduling_ignored_during_execution),
            far=read(far.required_during_scheduling_ignored_during_execution),
            preferred=weigh(near.preferred_during_scheduling_ignored_during_execution, 1)
            + weigh(far.preferred_during_scheduling_ignored_during_execution, -1),
        )


ANY_COMPANY = Company()


def _with_own(
    wanted: LabelSelector | None, labels: Mapping[str, str], keys: Sequence[str]
) -> Selector:
    """The selector, narrowed to pods that have the pod's own values of some labels."""
    chosen = selector.of(wanted)
    own = tuple(Requirement(key, "In", (labels[key],)) for key in keys if key in labels)
    return Selector(chosen.requirements + own, chosen.nothing)
