"""Which columns each kind's list has, what it is called, and how it is ordered at first."""

from __future__ import annotations

from dataclasses import dataclass

from engine.types import registry

from . import events, images, nodes, others, pods, workloads
from .column import Column


@dataclass(frozen=True)
class Listing:
    """How a kind is listed."""

    kind: str
    """Plural, as in paths."""
    columns: tuple[Column, ...]
    sort: str = "NAME"
    """Heading of the column it is ordered by at first."""
    noun: str = ""
    """What one is called in a sentence."""


LISTINGS = {
    listing.kind: listing
    for listing in (
        Listing("pods", pods.COLUMNS, noun="pod"),
        Listing("nodes", nodes.COLUMNS, noun="node"),
        Listing("deployments", workloads.DEPLOYMENTS, noun="deployment"),
        Listing("replicasets", workloads.REPLICASETS, noun="replica set"),
        Listing("jobs", workloads.JOBS, noun="job"),
        Listing("images", images.COLUMNS, "IMAGE", "image"),
        Listing("events", events.COLUMNS, "LAST", "event"),
        Listing("namespaces", others.NAMESPACES, noun="namespace"),
        Listing("services", others.SERVICES, noun="service"),
        Listing("configmaps", others.CONFIGMAPS, noun="config map"),
        Listing("secrets", others.SECRETS, noun="secret"),
        Listing("serviceaccounts", others.PLAIN, noun="service account"),
        Listing("leases", others.LEASES, noun="lease"),
    )
}


def listing(kind: str) -> Listing:
    """How to list a kind; name and age for kinds that have no columns of their own."""
    found = LISTINGS.get(kind)
    return found or Listing(kind, others.PLAIN, noun=kind.removesuffix("s"))


def namespaced(kind: str) -> bool:
    """Whether a kind's objects live in namespaces."""
    resource = registry.find(kind)
    return resource is None or resource.namespaced
