"""The gate of the store: an object is completed and checked here, or refused with every reason.

What an update may not touch is put back or refused as Kubernetes' strategies do: status through the
main resource, all but status through /status, immutable fields anywhere.
"""

from __future__ import annotations

from engine.api.admission.causes import Causes
from engine.api.admission.defaults import default, initialize
from engine.api.admission.kinds import CHECKS, PART_CHECKS, UPDATE_CHECKS
from engine.api.admission.metadata import check_metadata
from engine.types.meta import Object
from engine.types.registry import Resource
from engine.types.status import Invalid

# Kinds whose generation counts changes of the spec; the rest have none.
_COUNTED = frozenset(("Pod", "Deployment", "ReplicaSet", "Job"))


def qualified_kind(resource: Resource) -> str:
    """The kind as errors name it: Pod, Deployment.apps."""
    return f"{resource.kind}.{resource.group}" if resource.group else resource.kind


def admit_new(obj: Object, resource: Resource) -> None:
    """Complete and check an object that is to be created; raise Invalid."""
    if resource.kind in _COUNTED:
        obj.metadata.generation = 1
    default(obj)
    initialize(obj)
    causes = Causes()
    check_metadata(obj, resource, causes)
    check = CHECKS.get(resource.kind)
    if check is not None:
        check(obj, causes)
    _refuse(causes, resource, obj)


def admit_change(new: Object, old: Object, resource: Resource, part: str = "") -> None:
    """Complete and check a new state of `old`, or of one part of it; raise Invalid."""
    default(new)
    if resource.kind in _COUNTED:
        changed = getattr(new, "spec", None) != getattr(old, "spec", None)
        new.metadata.generation = old.metadata.generation + changed
    causes = Causes()
    check_metadata(new, resource, causes)
    check = CHECKS.get(resource.kind)
    if check is not None:
        check(new, causes)
    compare = PART_CHECKS.get(part) or UPDATE_CHECKS.get(resource.kind)
    if compare is not None:
        compare(new, old, causes)
    _refuse(causes, resource, new)


def _refuse(causes: Causes, resource: Resource, obj: Object) -> None:
    if causes.found:
        raise Invalid(qualified_kind(resource), obj.metadata.name, causes.found)
