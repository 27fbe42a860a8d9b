"""The whole cluster on one page: nodes as cards, a cell for each pod, events, charts."""

from __future__ import annotations

from collections import Counter

from engine.types.core import Node, Pod

from ..model import events as event_list
from ..model import nodes as node_list
from ..model.cluster import Cluster
from ..model.groups import Group, Groups, State
from ..model.insight import cause
from ..model.pods import unschedulable
from ..model.series import grouped
from ..model.workloads import span_of
from ..render import cells as parts
from ..render import numbers
from ..render.chart import chart, mirrored
from ..render.page import Hit, Page
from ..render.spans import (
    EMPTY,
    Block,
    Line,
    Span,
    beside,
    crop,
    crop_middle,
    pad,
    rule,
    width_of,
)
from ..render.text import inert
from .cards import cards as node_cards
from .heat import pod_colour

CHARTS_FROM = 150
WORKLOADS_MOST = 200
EXACT = 200
"""Pods of a workload up to which each is looked at for its words and limits."""


def overview(
    cluster: Cluster,
    groups_of: Groups,
    namespace: str,
    heat: str,
    width: int,
    height: int,
    target: str,
) -> Page:
    """The page for a width and a height; `heat` is what colours the cells of nodes and pods."""
    page = Page()
    nodes = sorted(cluster.objects("nodes").values(), key=lambda node: node.metadata.name)
    groups = groups_of.all(namespace)
    spare = height - 5 - min(len(groups), 12) - 1 - min(12, height // 3)
    rows = max(0, min(6, spare))
    page.add(*node_cards(cluster, nodes, width, rows, heat, target))  # type: ignore[arg-type]
    room = height - len(page.lines)
    if width >= CHARTS_FROM and room >= 20:
        left = width * 58 // 100
        body = Page()
        body.add(*_workloads(cluster, groups, heat, left, target))
        body.add(_events(cluster, namespace, left, max(4, room - len(body.lines))))
        side = _charts(cluster, nodes, width - left - 1, room)  # type: ignore[arg-type]
        page.add(beside([body.lines, side], [left, width - left - 1]), body.hits)
        return page
    page.add(*_workloads(cluster, groups, heat, width, target))
    page.add(_events(cluster, namespace, width, max(4, height - len(page.lines))))
    return page


# -- workloads -------------------------------------------------------------------------------


def _workloads(
    cluster: Cluster, groups: list[Group], heat: str, width: int, target: str
) -> tuple[Block, list[Hit]]:
    count = sum(len(group.pods) for group in groups)
    title: list[Span] = [("workloads ", "text bold"), (str(len(groups)), "accent")]
    title += [("  pods ", "text bold"), (str(count), "accent")]
    tally: Counter[State] = Counter()
    for group in groups:
        for state, keys in group.states.items():
            tally[state] += len(keys)
    for (meaning, word), number in tally.most_common(4):
        title += [("  ", "text"), (f"{parts.glyph(meaning)} {number} {word}", meaning)]
    block: Block = [rule(width, title)]
    hits: list[Hit] = []
    shape = _shape(groups, width)
    for group in groups[:WORKLOADS_MOST]:
        row, row_hits = _workload(cluster, group, heat, width, shape, target, len(block))
        block.append(row)
        hits += row_hits
    if not groups:
        block.append(((" ◇ nothing runs here yet", "dim"),))
    if len(groups) > WORKLOADS_MOST:
        block.append(((f" and {len(groups) - WORKLOADS_MOST} more", "dim"), ("  :deploy", "key")))
    return block, hits


_SHORT_KINDS = {"Deployment": "deploy", "ReplicaSet": "rs", "DaemonSet": "ds", "StatefulSet": "sts"}


def _shape(groups: list[Group], width: int) -> tuple[int, int, int]:
    """Widths of a workload's name, of its pods' cells, and of its sparkline."""
    longest = max((len(group.name) + len(_kind(group)) for group in groups), default=0)
    most = max((len(group.pods) for group in groups), default=0)
    name = min(max(14, longest + 4), max(18, width // 4))
    cells_width = max(8, min(most * 2 + 1, width // 4))
    trend = 8 if width < 100 else 16 if width < 150 else 24
    return name, cells_width, trend


def _kind(group: Group) -> str:
    return _SHORT_KINDS.get(group.kind, group.kind.lower())


def _workload(
    cluster: Cluster,
    group: Group,
    heat: str,
    width: int,
    shape: tuple[int, int, int],
    target: str,
    y: int,
) -> tuple[Line, list[Hit]]:
    book = cluster.book
    name_width, cells_width, trend_width = shape
    kind = _kind(group)
    label = crop(inert(group.name), name_width - len(kind) - 3)
    spans: list[Span] = [(" ", "text"), (f"{kind}/", "faint"), (label, "text")]
    spans = list(pad(spans, name_width))
    hits: list[Hit] = []
    x = name_width
    shown = cells_width // 2
    for name in group.ordered()[:shown]:
        key = f"pods:{name}"
        role = pod_colour(cluster, group.pods[name], heat)
        spans.append(("■", f"ink @{role}") if key == target else ("■", role))
        spans.append((" ", "text"))
        hits.append(Hit(y, x, 1, key))
        x += 2
    more = len(group.pods) - shown
    tail = f"+{more}" if more > 0 else ""
    spans.append((tail.ljust(cells_width - 2 * min(shown, len(group.pods))), "dim"))
    keys = group.containers(book) if len(group.pods) <= EXACT else []
    cpu, memory = group.now(book, "cpu"), group.now(book, "memory")
    trend = group.trend(book, "cpu", trend_width * 3)
    spans += pad(parts.cores(cpu), 5, right=True)
    spans.append((" ", "text"))
    spans += parts.trend(
        grouped(trend, trend_width), trend_width, "cpu", *span_of(cluster, keys, trend, 0)
    )
    text = numbers.size(memory) if memory == memory else "–"
    spans.append((f"  {text:>7}", "text" if memory == memory else "faint"))
    if width >= 110:
        spans.append((" ", "text"))
        values = group.trend(book, "memory", trend_width * 3)
        spans += parts.trend(
            grouped(values, trend_width), trend_width, "memory", *span_of(cluster, keys, values, 1)
        )
    spans += _trouble(cluster, group, width - width_of(spans))
    return tuple(spans), hits


def _trouble(cluster: Cluster, group: Group, room: int) -> Line:
    """The most pressing thing about a workload, in words."""
    worst = group.worst()
    if worst is None:
        return EMPTY
    pod, (meaning, word) = worst
    words = _words(cluster, pod, word, meaning)
    if not words and meaning == "ok" and len(group.pods) <= EXACT:
        # All run, and one may have been restarted.
        told = (_words(cluster, each, "Running", "ok") for each in group.pods.values())
        words = next(filter(None, told), "")
    return (("  " + crop(words, room - 2), meaning),) if words and room > 6 else EMPTY


def _words(cluster: Cluster, pod: Pod, word: str, meaning: str) -> str:
    if word == "Unschedulable":
        return f"cannot be scheduled: {cause(unschedulable(pod))}"
    restarts = cluster.summary(pod).restarts
    if word == "Running" and restarts:
        reasons = [
            s.last_state.terminated.reason
            for s in pod.status.container_statuses
            if s.last_state.terminated is not None
        ]
        why = f", last {inert(reasons[0])}" if reasons and reasons[0] else ""
        return f"{numbers.plural(restarts, 'restart')}{why}"
    if meaning == "ok":
        return ""
    if word == "Running":
        return "not ready"
    return f"{word}, {numbers.plural(restarts, 'restart')}" if restarts else word


# -- events ----------------------------------------------------------------------------------


def _events(cluster: Cluster, namespace: str, width: int, rows: int) -> Block:
    block: Block = [rule(width, (("events", "text bold"),))]
    count = 0
    for event in cluster.recent_events(400):
        if namespace and event.metadata.namespace not in ("", namespace):
            continue
        if count >= rows - 1:
            break
        count += 1
        about = event_list.about(event)
        kind, _, name = about.partition("/")
        size = 24 if width < 110 else 34
        times = event_list.count(event)
        room = width - 7 - 21 - size - 2
        text = inert(event.message) + (f" (×{times})" if times > 1 else "")
        block.append(
            (
                (f"{event_list.age(cluster, event):>6} ", "faint"),
                *pad(event_list.reason(event, 20), 21),
                *pad(
                    ((f"{kind}/", "faint"), (crop_middle(name, size - len(kind) - 1), "text")),
                    size + 1,
                ),
                (crop(text, room), "dim"),
            )
        )
    if not count:
        block.append(((" ◇ nothing has happened yet", "dim"),))
    return block


# -- charts ----------------------------------------------------------------------------------


def _charts(cluster: Cluster, nodes: list[Node], width: int, height: int) -> Block:
    book = cluster.book
    keys = [f"node/{node.metadata.name}" for node in nodes]
    uses = [node_list.use(cluster, node) for node in nodes]
    count = (width - 11) * 2
    first = height * 38 // 100
    second = height * 36 // 100
    cpu_capacity = sum(use.cpu_capacity for use in uses)
    memory_capacity = sum(use.memory_capacity for use in uses)
    block = chart(
        book.sums(keys, "cpu", count),
        width,
        first,
        title="CPU",
        unit="cores",
        scale="cpu",
        show=numbers.cores,
        hot=cpu_capacity,
        note=((f"capacity {cpu_capacity:g}", "dim"),),
    )
    block += chart(
        book.sums(keys, "memory", count),
        width,
        second,
        title="Memory",
        unit="working set",
        scale="memory",
        show=numbers.size,
        floor=1 << 20,
        hot=memory_capacity,
        note=((f"capacity {numbers.size(memory_capacity)}", "dim"),),
    )
    block += mirrored(
        book.sums(keys, "rx", count),
        book.sums(keys, "tx", count),
        width,
        height - first - second,
        title="Network",
        show=numbers.size,
        names=("in", "out"),
        floor=1024,
    )
    return block
