"""One pod: what it is, its charts, containers, conditions, layers and events."""

from __future__ import annotations

import math
from typing import Any

from engine.types import clock
from engine.types.core import Pod
from engine.types.meta import controller_of

from ..model import events as event_list
from ..model.cluster import Cluster
from ..model.pods import key_of, limits, status
from ..model.series import grouped
from ..render import cells as parts
from ..render import numbers
from ..render.bars import stacked
from ..render.chart import AXIS, chart, mirrored
from ..render.page import Page
from ..render.spans import (
    EMPTY,
    Block,
    Line,
    Span,
    beside,
    crop,
    pad,
    rule,
    spread,
    wrapped,
)
from ..render.text import inert
from .anatomy import inside, stack_of

NAN = math.nan


def missing_page(key: str) -> Page:
    """The object is gone."""
    return Page(
        [
            EMPTY,
            (("  ◇ ", "faint"), (f"{inert(key)} is gone", "text bold")),
            (("    it was deleted; ", "dim"), ("esc", "key"), (" goes back", "dim")),
        ]
    )


def pod_page(
    cluster: Cluster, key: str, anatomy: dict[str, Any] | None, width: int, height: int
) -> Page:
    """Everything about a pod; `anatomy` is what the engine says of its first container."""
    pod = cluster.pods().get(key)
    if pod is None:
        return missing_page(key)
    page = Page()
    page.add(_identity(cluster, pod, width))
    page.add(charts(cluster, pod, width, _chart_height(width, height)))
    page.add(containers(cluster, pod, width))
    if width >= 110 and anatomy:
        half = (width - 2) // 2
        rest = width - 2 - half
        side = _conditions(cluster, pod, rest) + inside(anatomy, rest)
        page.add(beside([stack_of(anatomy, half), side], [half, rest], 2))
    else:
        page.add(_conditions(cluster, pod, width))
        page.add(stack_of(anatomy, width) + inside(anatomy, width) if anatomy else [])
    page.add(events(cluster, pod, width, 12))
    return page


def _chart_height(width: int, height: int) -> int:
    return 14 if height >= 50 else 10 if height >= 30 else 8


def facts(cluster: Cluster, pod: Pod) -> list[tuple[str, str]]:
    """Names and values that say what a pod is."""
    ref = controller_of(pod.metadata)
    summary = cluster.summary(pod)
    return [
        ("node", inert(pod.spec.node_name) or "–"),
        ("ip", inert(pod.status.pod_ip) or "–"),
        ("owner", inert(f"{ref.kind}/{ref.name}") if ref else "–"),
        ("qos", pod.status.qos_class or "–"),
        ("restarts", summary.restarts_text(cluster.now())),
        ("age", clock.age(pod.metadata.creation_timestamp, cluster.now())),
        ("policy", pod.spec.restart_policy or "Always"),
    ]


def _identity(cluster: Cluster, pod: Pod, width: int) -> Block:
    word, meaning = status(cluster, pod)
    summary = cluster.summary(pod)
    head: list[Span] = [
        (" ", "text"),
        (f"{inert(pod.metadata.namespace)}/", "dim"),
        (inert(pod.metadata.name), "bright bold"),
        ("  ", "text"),
        *parts.state(word, meaning),
        (f"  {summary.ready}/{summary.total} ready", "dim"),
    ]
    rows: Block = [spread(head, (), width)]
    spans: list[Span] = [(" ", "text")]
    used = 1
    for name, value in facts(cluster, pod):
        size = len(name) + len(value) + 4
        if used + size > width and used > 1:
            rows.append(tuple(spans))
            spans, used = [(" ", "text")], 1
        spans += [(f"{name} ", "faint"), (value, "text"), ("   ", "text")]
        used += size
    rows.append(tuple(spans))
    for text in wrapped(inert(pod.status.message or waiting_message(pod)), width - 4)[:3]:
        if text:
            rows.append(((" ▲ ", "warn"), (text, "warn")))
    return rows


def waiting_message(pod: Pod) -> str:
    """Why it does not run, in the words of the scheduler or the node."""
    for condition in pod.status.conditions:
        if condition.type == "PodScheduled" and condition.status == "False":
            return condition.message
    for each in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        if each.state.waiting is not None and each.state.waiting.message:
            return each.state.waiting.message
    return ""


def charts(cluster: Cluster, pod: Pod, width: int, height: int) -> Block:
    """CPU and memory large, then processes, throttling and network."""
    book = cluster.book
    key = key_of(pod)
    names = book.containers(key)
    if not any(value == value for value in book.pod_values(key, "cpu", 2 * width)):
        return []
    wide = width >= 70
    half = (width - 1) // 2 if wide else width
    count = (half - 4 - AXIS) * 2
    cpu_limit, memory_limit = limits(pod)
    throttled = book.pod_values(key, "throttled", count)
    cpu = chart(
        book.pod_values(key, "cpu", count),
        half,
        height,
        title="CPU",
        unit="cores",
        scale="cpu",
        show=numbers.cores,
        limit=cpu_limit,
        note=_cpu_note(cpu_limit, throttled[-1] if throttled else NAN),
    )
    memory = chart(
        book.pod_values(key, "memory", count),
        width - half - 1 if wide else width,
        height,
        title="Memory",
        scale="memory",
        show=numbers.size,
        limit=memory_limit,
        floor=1 << 20,
        note=_memory_note(memory_limit),
        marks=[age for name in names for age in book.ooms(name, count)],
    )
    block = beside([cpu, memory], [half, width - half - 1]) if wide else cpu + memory
    block += _split(cluster, pod, width) + _stalls(cluster, pod, width)
    if height >= 10:
        block += _small_charts(cluster, pod, width, max(5, height - 4), throttled)
    return block


def _cpu_note(limit: float | None, throttled: float) -> list[Span]:
    spans: list[Span] = []
    if throttled == throttled and throttled > 0.005:
        spans.append((f"throttled {throttled * 100:.0f}%  ", "warn"))
    spans.append(
        (f"limit {numbers.cores(limit)}" if limit else "no limit", "limit" if limit else "faint")
    )
    return spans


def _memory_note(limit: int | None) -> list[Span]:
    return [
        (f"limit {numbers.size(limit)}" if limit else "no limit", "limit" if limit else "faint")
    ]


def _split(cluster: Cluster, pod: Pod, width: int) -> Block:
    """What the memory is: anonymous, file cache and kernel, against the limit."""
    book = cluster.book
    key = key_of(pod)
    anon, file, kernel = (book.pod_now(key, field) for field in ("anon", "file", "kernel"))
    if math.isnan(anon):
        return []
    limit = limits(pod)[1]
    whole = float(limit or max(1.0, anon + file + kernel))
    legend: list[Span] = [
        ("  ■ ", "memory.1"),
        (f"anon {numbers.size(anon)}", "dim"),
        ("  ■ ", "memory.4"),
        (f"file {numbers.size(file)}", "dim"),
        ("  ■ ", "net.2"),
        (f"kernel {numbers.size(kernel)}", "dim"),
    ]
    size = sum(len(text) for text, _ in legend)
    if size + 24 > width:
        room = width - 9
        rows: Block = [tuple(legend[1:] if size > width else legend)]
    else:
        room = width - size - 10
        rows = []
    shares = [(anon / whole, "memory.1"), (file / whole, "memory.4"), (kernel / whole, "net.2")]
    drawn: Line = ((" memory ", "dim"), *stacked(shares, room))
    return [drawn, *rows] if rows else [(*drawn, *legend)]


STALL_WORTH_A_WORD, STALL_WORTH_A_WARNING = 0.01, 0.2


def _stalls(cluster: Cluster, pod: Pod, width: int) -> Block:
    """How long tasks wait for a CPU, for memory, for a disk: pressure stall information. Of several
    containers the one that waits most."""
    book = cluster.book
    names = book.containers(key_of(pod))
    spans: list[Span] = [(" waits  ", "dim")]
    for label, field in (("cpu", "cpu"), ("memory", "memory"), ("disk", "io")):
        columns = [book.values(name, f"{field}_pressure", 24) for name in names]
        worst = [max(column) for column in zip(*columns, strict=True)]
        now = worst[-1] if worst else NAN
        if now != now:
            return []
        role = "warn" if now >= STALL_WORTH_A_WARNING else "text" if now else "faint"
        spans.append((f"{label} ", "dim"))
        if width >= 70:
            spans += parts.trend(grouped(worst, 8), 8, "cpu", max(0.1, *worst), 0.6)
        shown = "0%" if now < STALL_WORTH_A_WORD else numbers.percent(now)
        spans.append((f" {shown:<5}", role))
    return [(*spans, ("of the last 10 s", "faint"))]


def _small_charts(
    cluster: Cluster, pod: Pod, width: int, height: int, throttled: list[float]
) -> Block:
    book = cluster.book
    key = key_of(pod)
    third = (width - 2) // 3
    last = width - 2 - 2 * third
    count = third * 2
    return beside(
        [
            chart(
                throttled,
                third,
                height,
                title="Throttled",
                scale="cpu",
                show=numbers.percent,
                floor=0.1,
                hot=0.6,
            ),
            chart(
                book.pod_values(key, "pids", count),
                third,
                height,
                title="Processes",
                scale="pids",
                show=lambda value: f"{value:.0f}",
                floor=4,
            ),
            mirrored(
                _one(cluster, key, "rx", count),
                _one(cluster, key, "tx", count),
                last,
                height,
                title="Network",
                show=numbers.size,
                names=("in", "out"),
                floor=1024,
            ),
        ],
        [third, third, last],
    )


def _one(cluster: Cluster, key: str, field: str, count: int) -> list[float]:
    """A number that belongs to the pod and is told with each container: any one of them."""
    names = cluster.book.containers(key)
    return cluster.book.values(names[0], field, count) if names else [NAN] * count


def containers(cluster: Cluster, pod: Pod, width: int) -> Block:
    """A row for each container: state, restarts, how it ended last, use, image."""
    block: Block = [rule(width, (("containers", "text bold"),))]
    known = {
        s.name: s for s in (*pod.status.init_container_statuses, *pod.status.container_statuses)
    }
    name_width = 16 if width < 110 else 22
    for kind, group in (("init", pod.spec.init_containers), ("", pod.spec.containers)):
        for container in group:
            state = known.get(container.name)
            word, meaning, last = container_state(cluster, state)
            sample = f"{key_of(pod)}/{container.name}"
            name = inert(container.name) + (f" ({kind})" if kind else "")
            spans: list[Span] = [
                (" ", "text"),
                *pad(((crop(name, name_width), "text"),), name_width + 1),
                *pad(parts.state(crop(word, 18), meaning), 21),
                *pad(((f"↻{state.restart_count if state else 0}", "dim"),), 5),
                *pad(parts.cores(cluster.book.now(sample, "cpu")), 5, right=True),
                (" ", "text"),
                *pad(parts.mebibytes(cluster.book.now(sample, "memory")), 6, right=True),
                ("Mi  ", "faint"),
            ]
            used = sum(len(text) for text, _ in spans)
            note = last or inert(container.image)
            spans.append(
                (crop(note, width - used), "warn" if last and meaning != "done" else "dim")
            )
            block.append(tuple(spans))
    return block


def container_state(cluster: Cluster, state: Any) -> tuple[str, str, str]:
    """Word and meaning of a container's state, and how it ended last."""
    if state is None:
        return "Waiting", parts.BUSY, ""
    last = ""
    if state.last_state.terminated is not None:
        ended = state.last_state.terminated
        ago = clock.age(ended.finished_at, cluster.now()) if ended.finished_at else "–"
        last = f"last {inert(ended.reason)}, exit {ended.exit_code}, {ago} ago"
    if state.state.running is not None:
        return ("Running", parts.OK, last) if state.ready else ("Not ready", parts.WARN, last)
    if state.state.terminated is not None:
        ended = state.state.terminated
        word = inert(ended.reason) or ("Completed" if ended.exit_code == 0 else "Error")
        return word, parts.meaning(word), last or f"exit {ended.exit_code}"
    reason = state.state.waiting.reason if state.state.waiting is not None else ""
    return inert(reason) or "Waiting", parts.meaning(reason or "ContainerCreating"), last


_ORDER = ("PodScheduled", "PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready")


def _conditions(cluster: Cluster, pod: Pod, width: int) -> Block:
    block: Block = [rule(width, (("conditions", "text bold"),))]

    def place(kind: str) -> int:
        return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)

    for condition in sorted(pod.status.conditions, key=lambda c: place(c.type)):
        good = condition.status == "True"
        stamp = condition.last_transition_time
        since = clock.age(stamp, cluster.now()) if stamp else "–"
        text = inert(condition.message or condition.reason) if not good else ""
        block.append(
            (
                (" ● " if good else " ○ ", "ok" if good else "warn"),
                (f"{inert(condition.type):<26}", "text"),
                (f"{since:>6}  ", "faint"),
                (crop(text, max(0, width - 37)), "warn"),
            )
        )
    return block


def events(cluster: Cluster, obj: Any, width: int, most: int) -> Block:
    """What happened to an object, the newest first."""
    block: Block = [rule(width, (("events", "text bold"),))]
    found = cluster.events_about(obj)
    for event in found[:most]:
        count = event_list.count(event)
        text = inert(event.message) + (f" (×{count})" if count > 1 else "")
        block.append(
            (
                (f"{event_list.age(cluster, event):>6} ", "faint"),
                *pad(event_list.reason(event, 19), 20),
                (crop(text, width - 27), "dim"),
            )
        )
    if not found:
        block.append(((" ◇ none", "faint"),))
    return block
