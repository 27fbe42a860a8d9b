"""The coordination.k8s.io group, v1: leases, by which nodes say that they live."""

from __future__ import annotations

from typing import Annotated

from engine.types.declare import F, Type, always
from engine.types.meta import Object


class LeaseSpec(Type, kw_only=True):
    """Who holds a lease and since when."""

    holder_identity: Annotated[str | None, F("Who holds it.", 1)] = None
    lease_duration_seconds: Annotated[int | None, F("Seconds it is good for.", 2)] = None
    acquire_time: Annotated[str | None, F("When it was taken, with microseconds.", 3)] = None
    renew_time: Annotated[str | None, F("When it was last renewed, with microseconds.", 4)] = None
    lease_transitions: Annotated[int | None, F("How often it changed hands.", 5)] = None


class Lease(Object, kw_only=True):
    """A claim that must be renewed to stay good."""

    api_version: Annotated[str, F("Group and version of the schema.")] = always(
        "coordination.k8s.io/v1"
    )
    kind: Annotated[str, F("Name of the schema.")] = always("Lease")
    spec: Annotated[LeaseSpec, F("Who holds it.", 2)] = always(LeaseSpec)
