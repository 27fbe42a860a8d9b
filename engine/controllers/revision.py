"""The replica sets of a deployment: which one is the new one, which are old, and their revisions.

Invariant: the new replica set is the oldest one whose template equals the deployment's, so going
back to an earlier template takes up its replica set again instead of making another.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.types.apps import Deployment, ReplicaSet
from engine.types.codec import clone, to_dict
from engine.types.meta import ObjectMeta, owner_reference
from engine.types.pods import PodTemplateSpec

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
NOT_COPIED = (
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
)
SAFE_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels and nothing that looks like one, so that no words come out (kube's rand.SafeEncode)."""
HASH_LENGTH = 10


@dataclass(frozen=True, slots=True)
class Family:
    """A deployment's replica sets; `old` from the oldest to the youngest."""

    new: ReplicaSet | None
    old: tuple[ReplicaSet, ...]

    @property
    def all(self) -> tuple[ReplicaSet, ...]:
        """Every one, the new one last."""
        return self.old if self.new is None else (*self.old, self.new)


def template_hash(template: PodTemplateSpec, collisions: int | None) -> str:
    """A short name for a template, the same in every process and after every restart."""
    text = json.dumps([_comparable(template), collisions or 0], sort_keys=True)
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
    letters = []
    for _ in range(HASH_LENGTH):
        number, index = divmod(number, len(SAFE_LETTERS))
        letters.append(SAFE_LETTERS[index])
    return "".join(letters)


def _comparable(template: PodTemplateSpec) -> dict[str, object]:
    plain = to_dict(template)
    labels = plain.get("metadata", {}).get("labels", {})
    labels.pop(HASH_LABEL, None)
    return plain


def same_template(one: PodTemplateSpec, other: PodTemplateSpec) -> bool:
    """Whether pods of both would be the same, whatever replica set they are labelled with."""
    return _comparable(one) == _comparable(other)


def family(deployment: Deployment, replica_sets: Iterable[ReplicaSet]) -> Family:
    """Tell the new replica set from the old ones."""
    by_age = sorted(
        replica_sets, key=lambda rs: (rs.metadata.creation_timestamp or "", rs.metadata.name)
    )
    template = _comparable(deployment.spec.template)
    new = next((rs for rs in by_age if _comparable(rs.spec.template) == template), None)
    return Family(new, tuple(rs for rs in by_age if rs is not new))


def revision(holder: Deployment | ReplicaSet) -> int:
    """The revision an object is annotated with, 0 without one."""
    try:
        return int(holder.metadata.annotations.get(REVISION, "0"))
    except ValueError:
        return 0


def next_revision(old: Sequence[ReplicaSet]) -> int:
    """One more than any old replica set has."""
    return max((revision(rs) for rs in old), default=0) + 1


def new_annotations(deployment: Deployment, new: ReplicaSet | None, number: int) -> dict[str, str]:
    """What the new replica set should be annotated with: the deployment's own, and its revision."""
    had = dict(new.metadata.annotations) if new else {}
    before = had.get(REVISION)
    if before and int(before) >= number:
        number = int(before)
    elif before:
        history = had.get(REVISION_HISTORY)
        had[REVISION_HISTORY] = f"{history},{before}" if history else before
    copied = {k: v for k, v in deployment.metadata.annotations.items() if k not in NOT_COPIED}
    return {**had, **copied, REVISION: str(number)}


def new_replica_set(
    deployment: Deployment, replicas: int, annotations: dict[str, str]
) -> ReplicaSet:
    """The replica set for the deployment's present template."""
    code = template_hash(deployment.spec.template, deployment.status.collision_count)
    template = _with_hash(deployment.spec.template, code)
    spec = deployment.spec
    replica_set = ReplicaSet(
        metadata=ObjectMeta(
            name=f"{deployment.metadata.name}-{code}",
            namespace=deployment.metadata.namespace,
            labels=dict(template.metadata.labels),
            annotations=annotations,
            owner_references=[owner_reference(deployment)],
        )
    )
    replica_set.spec.replicas = replicas
    replica_set.spec.min_ready_seconds = spec.min_ready_seconds
    replica_set.spec.template = template
    replica_set.spec.selector = clone(spec.selector)
    replica_set.spec.selector.match_labels[HASH_LABEL] = code
    return replica_set


def _with_hash(template: PodTemplateSpec, code: str) -> PodTemplateSpec:
    labelled = clone(template)
    labelled.metadata.labels[HASH_LABEL] = code
    return labelled
