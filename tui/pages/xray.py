"""What belongs to what, drawn as a tree; every object in it can be chosen."""

from __future__ import annotations

from engine.types import registry
from engine.types.core import Node, Pod
from engine.types.meta import Object

from ..model import nodes, pods
from ..model.cluster import Cluster
from ..model.tree import Branch, tree
from ..render import cells as parts
from ..render import numbers
from ..render.page import Hit, Page
from ..render.spans import EMPTY, Line, Span, cells, clip, crop_middle
from ..render.text import inert
from .pod import missing_page


def xray(cluster: Cluster, kind: str, key: str, width: int, target: str) -> Page:
    """The tree around an object, with the cursor on `target`."""
    root = tree(cluster, kind, key)
    if root is None:
        return missing_page(key)
    page = Page([EMPTY])
    _draw(page, cluster, root, "", "", width, target)
    return page


def _draw(
    page: Page, cluster: Cluster, branch: Branch, lead: str, below: str, width: int, target: str
) -> None:
    here = f"{branch.kind}:{branch.key}"
    head: list[Span] = [(f" {lead}", "faint"), (f"{_noun(branch.kind)} ", "dim")]
    x = cells(f" {lead}{_noun(branch.kind)} ")
    name = crop_middle(inert(branch.name), max(8, width - x - 2))
    obj = cluster.get(branch.kind, branch.key)
    # An object that many use (a node) is chosen where it stands first.
    seen = any(hit.target == here for hit in page.hits)
    if obj is not None and branch.kind != "container" and not seen:
        chosen = " @cursor" if here == target else ""
        head.append((name, f"bright bold{chosen}"))
        page.hits.append(Hit(len(page.lines), x, cells(name), here))
    else:
        head.append((name, "text" if obj is not None or branch.kind == "container" else "dim"))
    tail = (("", "text"), *_state(cluster, obj, branch), *_word(branch))
    page.lines.append(clip((*head, *tail), width))
    last = len(branch.children) - 1
    for index, child in enumerate(branch.children):
        end = index == last and not branch.more
        _draw(
            page,
            cluster,
            child,
            below + ("└─ " if end else "├─ "),
            below + ("   " if end else "│  "),
            width,
            target,
        )
    if branch.more:
        page.lines.append(((f" {below}└─ and {branch.more} more", "dim"),))


def _noun(kind: str) -> str:
    resource = registry.find(kind)
    return kind if resource is None else resource.singular


def _word(branch: Branch) -> Line:
    return ((f"  {inert(branch.word)}", "dim"),) if branch.word else ()


def _state(cluster: Cluster, obj: Object | None, branch: Branch) -> Line:
    """What a look at it is for: a pod's status and use, a container's state, a node's, replicas."""
    if branch.kind == "container":
        return _container(cluster, branch)
    if obj is None:
        known = cluster.watched(branch.kind) and not cluster.loading(branch.kind)
        return (("  does not exist", "bad"),) if known else ()
    if isinstance(obj, Pod):
        word, meaning = pods.status(cluster, obj)
        return (("  ", "text"), *parts.state(word, meaning), *_use(cluster, pods.key_of(obj)))
    if isinstance(obj, Node):
        word, meaning = nodes.status(obj)
        return (("  ", "text"), *parts.state(word, meaning))
    if branch.kind in ("deployments", "replicasets"):
        ready = obj.status.ready_replicas  # type: ignore[attr-defined]
        wanted = obj.spec.replicas  # type: ignore[attr-defined]
        wanted = 1 if wanted is None else wanted
        return ((f"  {ready or 0}/{wanted} ready", "ok" if (ready or 0) >= wanted else "warn"),)
    return ()


def _container(cluster: Cluster, branch: Branch) -> Line:
    pod = cluster.pods().get(branch.key)
    statuses = (
        ()
        if pod is None
        else (
            *(pod.status.init_container_statuses or ()),
            *(pod.status.container_statuses or ()),
        )
    )
    found = next((status for status in statuses if status.name == branch.name), None)
    if found is None:
        return ()
    state = found.state
    word = (
        "Running"
        if state.running
        else (
            (state.waiting.reason if state.waiting else "")
            or (state.terminated.reason if state.terminated else "")
            or "Waiting"
        )
    )
    return (("  ", "text"), *parts.state(inert(word), parts.meaning(word)))


def _use(cluster: Cluster, key: str) -> Line:
    cpu, memory = cluster.book.pod_now(key, "cpu"), cluster.book.pod_now(key, "memory")
    if cpu != cpu:
        return ()
    return ((f"  {numbers.cores(cpu)} cores  {numbers.size(memory)}", "dim"),)
