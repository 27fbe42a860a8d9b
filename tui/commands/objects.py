"""Commands that look at the object under the cursor."""

from __future__ import annotations

from engine.types import registry
from engine.types.core import Pod
from engine.types.meta import Object

from ..model.place import Place, Within
from .command import command
from .desk import Desk

OBJECTS = ("list", "pod", "container", "node", "image", "overview", "xray")
PODS = ("list:pods", "pod", "container", "overview", "xray")
OWNERS = ("list:deployments", "list:replicasets", "list:jobs")


def subject_of(desk: Desk) -> tuple[str, str, Object] | None:
    """Plural, key and object under the cursor; None, after telling so, when there is none."""
    found = desk.subject()
    if found is None:
        desk.flash("nothing is chosen here", "warn")
    return found


def pod_of(desk: Desk) -> tuple[str, Pod] | None:
    """The same of a pod: its key, and it."""
    found = desk.subject()
    if found is not None and isinstance(found[2], Pod):
        return found[1], found[2]
    desk.flash("choose a pod first", "warn")
    return None


@command(
    "describe",
    "d",
    title="Describe",
    help="In words, with its events",
    hint="describe",
    rank=3,
    on=OBJECTS,
    group="Object",
)
def describe(desk: Desk) -> None:
    if (found := subject_of(desk)) is not None:
        desk.go(Place("describe", found[0], found[1]))


@command(
    "yaml",
    "y",
    title="YAML",
    help="As the API keeps it",
    hint="yaml",
    rank=5,
    on=OBJECTS,
    group="Object",
)
def yaml(desk: Desk) -> None:
    if (found := subject_of(desk)) is not None:
        desk.go(Place("yaml", found[0], found[1]))


@command(
    "logs",
    "l",
    title="Logs",
    help="Follow a pod's log, or those of all its pods",
    hint="logs",
    rank=2,
    on=(*PODS, *OWNERS),
    group="Object",
)
def logs(desk: Desk) -> None:
    found = desk.subject()
    if found is not None and f"list:{found[0]}" in OWNERS:
        desk.go(Place("logs", found[0], found[1]))
    else:
        _logs(desk, previous=False)


@command(
    "logs-previous",
    "p",
    title="Previous logs",
    help="The log of the container that ran before",
    hint="prev logs",
    rank=12,
    on=PODS,
    group="Object",
)
def logs_previous(desk: Desk) -> None:
    _logs(desk, previous=True)


def _logs(desk: Desk, *, previous: bool) -> None:
    if (found := pod_of(desk)) is not None:
        desk.go(Place("logs", "pods", found[0], part_of(desk, found[1]), previous=previous))


def part_of(desk: Desk, pod: Pod) -> str:
    """The container that is chosen, else the first."""
    part = desk.place.part if desk.place.view in ("pod", "container") else ""
    return part or pod.spec.containers[0].name


@command(
    "events-of",
    "v",
    title="Events of it",
    help="Only what happened to it",
    hint="events",
    rank=11,
    on=OBJECTS,
    group="Object",
)
def events_of(desk: Desk) -> None:
    if (found := subject_of(desk)) is not None:
        meta = found[2].metadata
        desk.open_list("events", Within("about", meta.uid, meta.name))


@command(
    "owner",
    "J",
    title="Its owner",
    help="Jump to what manages it",
    on=("list", "pod"),
    group="Object",
)
def owner(desk: Desk) -> None:
    found = subject_of(desk)
    if found is None:
        return
    meta = found[2].metadata
    ref = next((ref for ref in meta.owner_references if ref.controller), None)
    resource = registry.find(ref.kind) if ref is not None else None
    if ref is None or resource is None:
        desk.flash(f"{found[1]} has no owner", "warn")
        return
    key = f"{meta.namespace}/{ref.name}" if resource.namespaced else ref.name
    desk.go(Place("describe", resource.plural, key))


@command(
    "xray",
    "X",
    title="X-ray",
    help="What it belongs to, and everything that belongs to it, as a tree",
    hint="x-ray",
    rank=13,
    on=("list", "pod", "node", "overview", "describe", "yaml"),
    group="Object",
)
def xray(desk: Desk) -> None:
    if (found := subject_of(desk)) is not None:
        desk.go(Place("xray", found[0], found[1]))


@command(
    "show-node", "o", title="Its node", help="Jump to the node it runs on", on=PODS, group="Object"
)
def show_node(desk: Desk) -> None:
    found = pod_of(desk)
    if found is None:
        return
    node = found[1].spec.node_name
    if node:
        desk.go(Place("node", "nodes", node))
    else:
        desk.flash(f"{found[0]} is on no node", "warn")
