"""How things go: at once, after a grace period, or when the last finalizer has been taken off.

A pod on a node is only marked; its kubelet stops it and then deletes it with grace 0. An object
with finalizers, and a namespace, is marked too, and goes with the last of them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from engine.api.admission.metadata import FOREGROUND, ORPHAN
from engine.api.request import Request
from engine.types import clock, codec
from engine.types.core import Namespace, Pod
from engine.types.meta import DeleteOptions, Object
from engine.types.status import BadRequest

POLICIES = ("Background", "Foreground", "Orphan")


def delete_options(data: dict[str, Any], request: Request) -> DeleteOptions:
    """The body's options, or else those in the query. Raise BadRequest."""
    try:
        options = codec.from_dict(DeleteOptions, data)
    except msgspec.ValidationError as error:
        raise BadRequest(f"DeleteOptions cannot be read: {error}") from error
    if options.grace_period_seconds is None:
        options.grace_period_seconds = request.number("gracePeriodSeconds")
    policy = options.propagation_policy or request.query.get("propagationPolicy") or "Background"
    if options.orphan_dependents:
        policy = "Orphan"
    if policy not in POLICIES:
        raise BadRequest(
            f"DeleteOptions is invalid: propagationPolicy: Unsupported value: {policy!r}:"
            f" supported values: {', '.join(POLICIES)}"
        )
    options.propagation_policy = policy
    if request.dry_run:
        options.dry_run = ["All"]
    return options


def grace_of(obj: Object, options: DeleteOptions) -> int:
    """Seconds the object has to end; 0 unless it is a pod that may still run on a node."""
    if not isinstance(obj, Pod):
        return 0
    if not obj.spec.node_name or obj.status.phase in ("Succeeded", "Failed"):
        return 0
    wished = options.grace_period_seconds
    if wished is None:
        wished = obj.spec.termination_grace_period_seconds
    return max(0, 30 if wished is None else wished)


def mark(obj: Object, options: DeleteOptions, now: float) -> None:
    """Note on the object that it is being deleted; a second time can only bring the end nearer."""
    meta = obj.metadata
    grace = grace_of(obj, options)
    if meta.deletion_timestamp is None:
        if meta.generation:
            meta.generation += 1
        finalizer = {"Foreground": FOREGROUND, "Orphan": ORPHAN}.get(
            options.propagation_policy or ""
        )
        if finalizer and finalizer not in meta.finalizers:
            meta.finalizers = [*meta.finalizers, finalizer]
    elif grace >= (meta.deletion_grace_period_seconds or 0):
        return
    meta.deletion_timestamp = clock.format(now + grace)
    meta.deletion_grace_period_seconds = grace
    if isinstance(obj, Namespace):
        obj.status.phase = "Terminating"


def is_over(obj: Object) -> bool:
    """Whether a marked object has nothing left to wait for."""
    meta = obj.metadata
    if meta.deletion_timestamp is None or meta.finalizers:
        return False
    if isinstance(obj, Namespace) and obj.spec.finalizers:
        return False
    return not meta.deletion_grace_period_seconds
