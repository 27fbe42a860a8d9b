"""The whole cluster on one page: nodes as cards, workloads with a cell for each pod, events, charts."""

from __future__ import annotations

from dataclasses import dataclass

from engine.types.core import Node, Pod

from ..model import events as event_list
from ..model import nodes as node_list
from ..model.cluster import Cluster
from ..model.insight import cause
from ..model.pods import key_of, status, unschedulable
from ..model.series import grouped, total
from ..model.workloads import span_of
from ..render import cells as parts
from ..render import numbers
from ..render.bars import bar, slim
from ..render.chart import chart, mirrored, plot, scale_top
from ..render.page import Hit, Page
from ..render.spans import (
    EMPTY,
    Block,
    Line,
    Span,
    beside,
    boxed,
    crop,
    crop_middle,
    pad,
    rule,
    width_of,
)
from ..render.text import inert

CARD_MINIMUM = 25
CHARTS_FROM = 150
WORKLOADS_MOST = 200


@dataclass
class Group:
    """A workload and its pods."""

    kind: str
    name: str
    namespace: str
    pods: list[Pod]


def overview(cluster: Cluster, namespace: str, width: int, height: int, target: str) -> Page:
    """The page for a width and a height."""
    page = Page()
    nodes = sorted(cluster.objects("nodes").values(), key=lambda node: node.metadata.name)
    groups = _groups(cluster, namespace)
    spare = height - 5 - min(len(groups), 12) - 1 - min(12, height // 3)
    page.add(*_cards(cluster, nodes, width, max(0, min(6, spare)), target))  # type: ignore[arg-type]
    room = height - len(page.lines)
    if width >= CHARTS_FROM and room >= 20:
        left = width * 58 // 100
        body = Page()
        body.add(*_workloads(cluster, groups, left, target))
        body.add(_events(cluster, namespace, left, max(4, room - len(body.lines))))
        side = _charts(cluster, nodes, width - left - 1, room)  # type: ignore[arg-type]
        page.add(beside([body.lines, side], [left, width - left - 1]), body.hits)
        return page
    page.add(*_workloads(cluster, groups, width, target))
    page.add(_events(cluster, namespace, width, max(4, height - len(page.lines))))
    return page


# -- nodes -----------------------------------------------------------------------------------


def _cards(
    cluster: Cluster, nodes: list[Node], width: int, chart_rows: int, target: str
) -> tuple[Block, list[Hit]]:
    if not nodes:
        words: Line = (("◌ no node has joined yet", "dim"),)
        return boxed([words], width, title=(("nodes", "dim"),)), []
    across = max(1, min(len(nodes), width // CARD_MINIMUM))
    if len(nodes) > across * 2:
        return _node_rows(cluster, nodes, width, target)
    block: Block = []
    hits: list[Hit] = []
    for start in range(0, len(nodes), across):
        chunk = nodes[start : start + across]
        sizes = [(width - across + 1) // across] * len(chunk)
        if len(chunk) == across:
            sizes[-1] += (width - across + 1) % across
        cards = [
            _card(cluster, node, size, chart_rows if chart_rows >= 2 else 0, target)
            for node, size in zip(chunk, sizes, strict=True)
        ]
        x = 0
        for node, size in zip(chunk, sizes, strict=True):
            hits.append(Hit(len(block), x, size, f"nodes:{node.metadata.name}"))
            x += size + 1
        block += beside(cards, sizes)
    return block, hits


def _card(cluster: Cluster, node: Node, width: int, chart_rows: int, target: str) -> Block:
    name = node.metadata.name
    use = node_list.use(cluster, node)
    word, meaning = node_list.status(node)
    chosen = target == f"nodes:{name}"
    inner = width - 4
    body: Block = []
    if chart_rows:
        half = (inner - 1) // 2
        plots = []
        for field, scale, capacity in (
            ("cpu", "cpu", use.cpu_capacity),
            ("memory", "memory", float(use.memory_capacity)),
        ):
            size = half if field == "cpu" else inner - 1 - half
            values = cluster.book.values(f"node/{name}", field, size * 2)
            top = scale_top(values, None, capacity * 0.1, binary=field == "memory")
            plots.append(
                plot(values, size, chart_rows, min(top, capacity or top), scale, hot=capacity)
            )
        body += beside(plots, [half, inner - 1 - half])
    body.append(_gauge("cpu", use.cpu, use.cpu_capacity, use.cpu_requested, inner, "cpu"))
    body.append(
        _gauge("mem", use.memory, use.memory_capacity, use.memory_requested, inner, "memory")
    )
    body.append(_pod_cells(cluster, name, use, inner))
    title: list[Span] = [
        (parts.glyph(meaning), meaning),
        (f" {inert(name)}", "bright bold" if chosen else "text bold"),
    ]
    note: list[Span] = [] if word == "Ready" else [(word, meaning)]
    if word == "Ready" and inner >= 30:
        note = [(f"{use.pods} pods", "dim")]
    role = "focus" if chosen else "bad" if meaning == "bad" else "line"
    return boxed(body, width, title=title, note=note, role=role)


def _gauge(
    name: str, used: float, capacity: float, requested: float, width: int, scale: str
) -> Line:
    known = used == used and capacity > 0
    if scale == "cpu":
        text = f"{numbers.cores(used) if known else '–':>5}/{capacity:g}"
    else:
        text = f"{numbers.size(used) if known else '–':>6}/{numbers.size(capacity)}"
    room = width - 4 - len(text) - 1
    if room < 4:
        return pad(((f"{name} ", "dim"), (text, "text")), width)
    tick = requested / capacity if capacity and requested else None
    drawn = slim(used / capacity if known else 0.0, room, scale, tick=tick)
    amount, slash, rest = text.partition("/")
    return ((f"{name} ", "dim"), *drawn, (f" {amount}", "text"), (slash + rest, "dim"))


def _pod_cells(cluster: Cluster, node: str, use: node_list.Use, width: int) -> Line:
    pods = sorted(cluster.pods_on(node), key=key_of)
    count = f" {use.pods}/{use.pod_capacity}"
    room = width - 4 - len(count)
    spans: list[Span] = [("pod ", "dim")]
    for pod in pods[:room]:
        spans.append(("■", status(cluster, pod)[1]))
    return (*pad(spans, width - len(count)), (count, "dim"))


def _node_rows(
    cluster: Cluster, nodes: list[Node], width: int, target: str
) -> tuple[Block, list[Hit]]:
    """Many nodes: one line each, in as many columns as fit; beyond that only how many more."""
    across = max(1, width // 40)
    size = width // across
    shown = nodes[: across * 12]
    block: Block = [rule(width, ((f"nodes {len(nodes)}", "dim"),))]
    hits: list[Hit] = []
    for start in range(0, len(shown), across):
        spans: list[Span] = []
        for column, node in enumerate(shown[start : start + across]):
            target_of = f"nodes:{node.metadata.name}"
            hits.append(Hit(len(block), column * size, size - 1, target_of))
            spans += _node_row(cluster, node, size, target == target_of)
        block.append(tuple(spans))
    if len(shown) < len(nodes):
        block.append(((f" and {len(nodes) - len(shown)} more", "dim"), ("  :nodes", "key")))
    return block, hits


def _node_row(cluster: Cluster, node: Node, width: int, chosen: bool) -> Line:
    use = node_list.use(cluster, node)
    _, meaning = node_list.status(node)
    name = crop_middle(inert(node.metadata.name), 14)
    cpu = use.cpu / use.cpu_capacity if use.cpu_capacity else float("nan")
    memory = use.memory / use.memory_capacity if use.memory_capacity else float("nan")
    bars = max(3, (width - 20) // 2)
    return pad(
        (
            (f"{parts.glyph(meaning)} ", meaning),
            (f"{name:<14} ", "bright underline" if chosen else "text"),
            *bar(cpu, bars, "cpu"),
            (" ", "text"),
            *bar(memory, bars, "memory"),
        ),
        width,
    )


# -- workloads -------------------------------------------------------------------------------


def _groups(cluster: Cluster, namespace: str) -> list[Group]:
    found: dict[tuple[str, str, str], Group] = {}
    for pod in cluster.pods().values():
        if namespace and pod.metadata.namespace != namespace:
            continue
        kind, name = cluster.workload(pod)
        key = (pod.metadata.namespace, kind, name)
        found.setdefault(key, Group(kind, name, pod.metadata.namespace, [])).pods.append(pod)
    for group in found.values():
        group.pods.sort(key=lambda pod: pod.metadata.name)
    return [found[key] for key in sorted(found)]


def _workloads(
    cluster: Cluster, groups: list[Group], width: int, target: str
) -> tuple[Block, list[Hit]]:
    count = sum(len(group.pods) for group in groups)
    title: list[Span] = [("workloads ", "text bold"), (str(len(groups)), "accent")]
    title += [("  pods ", "text bold"), (str(count), "accent")]
    tally: dict[str, int] = {}
    for group in groups:
        for pod in group.pods:
            word, meaning = status(cluster, pod)
            tally[f"{meaning} {word}"] = tally.get(f"{meaning} {word}", 0) + 1
    for key, number in sorted(tally.items(), key=lambda item: -item[1])[:4]:
        meaning, word = key.split(" ", 1)
        title += [("  ", "text"), (f"{parts.glyph(meaning)} {number} {word}", meaning)]
    block: Block = [rule(width, title)]
    hits: list[Hit] = []
    shape = _shape(groups, width)
    for group in groups[:WORKLOADS_MOST]:
        row, row_hits = _workload(cluster, group, width, shape, target, len(block))
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
    cluster: Cluster, group: Group, width: int, shape: tuple[int, int, int], target: str, y: int
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
    for pod in group.pods[:shown]:
        key = f"pods:{key_of(pod)}"
        role = status(cluster, pod)[1]
        spans.append(("■", f"ink @{role}") if key == target else ("■", role))
        spans.append((" ", "text"))
        hits.append(Hit(y, x, 1, key))
        x += 2
    more = len(group.pods) - shown
    tail = f"+{more}" if more > 0 else ""
    spans.append((tail.ljust(cells_width - 2 * min(shown, len(group.pods))), "dim"))
    keys = [key for pod in group.pods for key in book.containers(key_of(pod))]
    cpu = total(book.now(key, "cpu") for key in keys)
    memory = total(book.now(key, "memory") for key in keys)
    trend = book.sums(keys, "cpu", trend_width * 3)
    spans += pad(parts.cores(cpu), 5, right=True)
    spans.append((" ", "text"))
    spans += parts.trend(
        grouped(trend, trend_width), trend_width, "cpu", *span_of(cluster, keys, trend, 0)
    )
    text = numbers.size(memory) if memory == memory else "–"
    spans.append((f"  {text:>7}", "text" if memory == memory else "faint"))
    if width >= 110:
        spans.append((" ", "text"))
        values = book.sums(keys, "memory", trend_width * 3)
        spans += parts.trend(
            grouped(values, trend_width), trend_width, "memory", *span_of(cluster, keys, values, 1)
        )
    spans += _trouble(cluster, group, width - width_of(spans))
    return tuple(spans), hits


def _trouble(cluster: Cluster, group: Group, room: int) -> Line:
    """The most pressing thing about a workload, in words."""
    worst: tuple[int, str, str] = (9, "", "")
    for pod in group.pods:
        word, meaning = status(cluster, pod)
        rank = ("bad", "warn", "busy", "done", "ok").index(meaning)
        if rank < worst[0]:
            worst = (rank, _words(cluster, pod, word, meaning), meaning)
    if worst[1] and room > 6:
        return (("  " + crop(worst[1], room - 2), worst[2]),)
    return EMPTY


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
