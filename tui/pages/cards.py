"""Nodes as cards: charts, bars against capacity with a tick at what is requested, pods as cells."""

from __future__ import annotations

from engine.types.core import Node

from ..model import nodes as node_list
from ..model.cluster import Cluster
from ..model.pods import key_of
from ..render import cells as parts
from ..render import numbers
from ..render.bars import bar, slim
from ..render.chart import plot, scale_top
from ..render.page import Hit
from ..render.spans import Block, Line, Span, beside, boxed, crop_middle, pad, rule
from ..render.text import inert
from .heat import heat_map, pod_colour

CARD_MINIMUM = 25
ROW_MINIMUM = 40
ROWS_MOST = 12
"""Lines of nodes, beyond which a map says more."""


def cards(
    cluster: Cluster, nodes: list[Node], width: int, chart_rows: int, heat: str, target: str
) -> tuple[Block, list[Hit]]:
    """As cards, as lines when they are many, as a map when they are very many."""
    if not nodes:
        words: Line = (("◌ no node has joined yet", "dim"),)
        return boxed([words], width, title=(("nodes", "dim"),)), []
    across = max(1, min(len(nodes), width // CARD_MINIMUM))
    if len(nodes) > max(1, width // ROW_MINIMUM) * ROWS_MOST:
        return heat_map(cluster, nodes, heat, width, target)
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
            _card(cluster, node, size, chart_rows if chart_rows >= 2 else 0, heat, target)
            for node, size in zip(chunk, sizes, strict=True)
        ]
        x = 0
        for node, size in zip(chunk, sizes, strict=True):
            hits.append(Hit(len(block), x, size, f"nodes:{node.metadata.name}"))
            x += size + 1
        block += beside(cards, sizes)
    return block, hits


def _card(
    cluster: Cluster, node: Node, width: int, chart_rows: int, heat: str, target: str
) -> Block:
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
    body.append(_pod_cells(cluster, name, use, heat, inner))
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


def _pod_cells(cluster: Cluster, node: str, use: node_list.Use, heat: str, width: int) -> Line:
    pods = sorted(cluster.pods_on(node), key=key_of)
    count = f" {use.pods}/{use.pod_capacity}"
    room = width - 4 - len(count)
    spans: list[Span] = [("pod ", "dim")]
    for pod in pods[:room]:
        spans.append(("■", pod_colour(cluster, pod, heat)))
    return (*pad(spans, width - len(count)), (count, "dim"))


def _node_rows(
    cluster: Cluster, nodes: list[Node], width: int, target: str
) -> tuple[Block, list[Hit]]:
    """Many nodes: one line each, in as many columns as fit."""
    across = max(1, width // ROW_MINIMUM)
    size = width // across
    block: Block = [rule(width, ((f"nodes {len(nodes)}", "dim"),))]
    hits: list[Hit] = []
    for start in range(0, len(nodes), across):
        spans: list[Span] = []
        for column, node in enumerate(nodes[start : start + across]):
            target_of = f"nodes:{node.metadata.name}"
            hits.append(Hit(len(block), column * size, size - 1, target_of))
            spans += _node_row(cluster, node, size, target == target_of)
        block.append(tuple(spans))
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
