"""One sentence that says what deserves attention now."""

from __future__ import annotations

from ..render.numbers import cores, percent, plural, size
from ..render.spans import Line, Span
from ..render.text import inert
from .cluster import Cluster
from .pods import status, unschedulable


def cause(message: str) -> str:
    """The heart of the scheduler's words: "0/3 nodes are available: 3 Insufficient memory."."""
    tail = message.partition(": ")[2] or message
    words = tail.split(". ")[0].rstrip(".").split(" ", 1)
    text = words[-1] if words[0].isdigit() else tail
    return inert(text.removeprefix("Insufficient ").split(", ")[0].rstrip("."))


def insight(cluster: Cluster) -> Line:
    """The sentence as spans."""
    parts = [*_trouble(cluster), *_heat(cluster)]
    if not parts:
        calm = "all is calm" if cluster.pods() else "no pods yet: podarium apply -f FILE"
        parts.append([(calm, "dim")])
    spans: list[Span] = []
    for index, part in enumerate(parts):
        if index:
            spans.append(("  ·  ", "faint"))
        spans.extend(part)
    return tuple(spans)


def _trouble(cluster: Cluster) -> list[list[Span]]:
    """Pods that are broken, or that no node can take."""
    parts: list[list[Span]] = []
    pending: list[str] = []
    broken: list[str] = []
    for pod in cluster.troubled():
        word, meaning = status(cluster, pod)
        if word == "Unschedulable":
            pending.append(cause(unschedulable(pod)))
        elif meaning == "bad":
            broken.append(f"{inert(cluster.workload(pod)[1])} {word}")
    if broken:
        more = f" +{len(broken) - 1}" if len(broken) > 1 else ""
        parts.append([(broken[0] + more, "bad")])
    if pending:
        why = f": {pending[0]}" if pending[0] else ""
        parts.append([(f"{plural(len(pending), 'pod')} cannot be scheduled{why}", "warn")])
    return parts


def _owner(cluster: Cluster, container: str) -> str:
    """The workload of a container `namespace/pod/container`."""
    key, _, name = container.rpartition("/")
    pod = cluster.pods().get(key)
    return inert(cluster.workload(pod)[1] if pod is not None else name)


def _heat(cluster: Cluster) -> list[list[Span]]:
    """Who uses most CPU, and who is nearest to the memory limit."""
    parts: list[list[Span]] = []
    book = cluster.book
    key, used = book.hot_cpu
    if used >= 0.05:
        limit = book.limits[key][0]
        fraction = used / limit if limit else 0.0
        of = f" ({percent(fraction)} of limit)" if fraction > 0.5 else ""
        role = "warn" if fraction >= 0.9 else "text"
        parts.append(
            [("hot cpu ", "dim"), (_owner(cluster, key), "text"), (f" {cores(used)}{of}", role)]
        )
    key, fraction = book.hot_memory
    if fraction >= 0.5:
        role = "bad" if fraction >= 0.9 else "warn" if fraction >= 0.75 else "text"
        text = f" {size(book.now(key, 'memory'))} ({percent(fraction)} of limit)"
        parts.append([("hot mem ", "dim"), (_owner(cluster, key), "text"), (text, role)])
    return parts
