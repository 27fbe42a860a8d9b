"""One sentence that says what deserves attention now."""

from __future__ import annotations

from ..render.numbers import cores, percent, plural, size
from ..render.spans import Line, Span
from ..render.text import inert
from .cluster import Cluster
from .pods import key_of, limits, status, unschedulable


def cause(message: str) -> str:
    """The heart of the scheduler's words: "0/3 nodes are available: 3 Insufficient memory."."""
    tail = message.partition(": ")[2] or message
    words = tail.split(". ")[0].rstrip(".").split(" ", 1)
    text = words[-1] if words[0].isdigit() else tail
    return inert(text.removeprefix("Insufficient ").split(", ")[0].rstrip("."))


def insight(cluster: Cluster) -> Line:
    """The sentence as spans."""
    parts: list[list[Span]] = []
    book = cluster.book
    hot_cpu, hot_memory = ("", 0.0, 0.0), ("", 0.0, 0.0)
    pending: list[str] = []
    broken: list[str] = []
    for pod in cluster.pods().values():
        key = key_of(pod)
        cpu, memory = book.pod_now(key, "cpu"), book.pod_now(key, "memory")
        if cpu == cpu and cpu > hot_cpu[1]:
            hot_cpu = (cluster.workload(pod)[1], cpu, cpu / (limits(pod)[0] or float("inf")))
        if memory == memory:
            limit = limits(pod)[1]
            fraction = memory / limit if limit else 0.0
            if fraction > hot_memory[2]:
                hot_memory = (cluster.workload(pod)[1], memory, fraction)
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
    if hot_cpu[1] >= 0.05:
        role = "warn" if hot_cpu[2] >= 0.9 else "text"
        of = f" ({percent(hot_cpu[2])} of limit)" if hot_cpu[2] > 0.5 else ""
        parts.append(
            [
                ("hot cpu ", "dim"),
                (inert(hot_cpu[0]), "text"),
                (f" {cores(hot_cpu[1])}{of}", role),
            ]
        )
    if hot_memory[2] >= 0.5:
        role = "bad" if hot_memory[2] >= 0.9 else "warn" if hot_memory[2] >= 0.75 else "text"
        text = f" {size(hot_memory[1])} ({percent(hot_memory[2])} of limit)"
        parts.append([("hot mem ", "dim"), (inert(hot_memory[0]), "text"), (text, role)])
    if not parts:
        count = len(cluster.pods())
        calm = "all is calm" if count else "no pods yet: podarium apply -f FILE"
        parts.append([(calm, "dim")])
    spans: list[Span] = []
    for index, part in enumerate(parts):
        if index:
            spans.append(("  ·  ", "faint"))
        spans.extend(part)
    return tuple(spans)
