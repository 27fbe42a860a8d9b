"""One node: capacity, charts, conditions, its pods."""

from __future__ import annotations

from engine.types import clock
from engine.types.core import Node

from ..model import nodes as node_list
from ..model.cluster import Cluster
from ..model.pods import key_of, limits, status
from ..render import cells as parts
from ..render import numbers
from ..render.bars import slim
from ..render.chart import AXIS, chart
from ..render.page import Hit, Page
from ..render.spans import Block, Span, beside, crop, crop_middle, pad, rule
from ..render.text import inert
from .pod import events, missing_page


def _title(cluster: Cluster, node: Node) -> Block:
    word, meaning = node_list.status(node)
    info = node.status.node_info
    return [
        (
            (" ", "text"),
            (inert(node.metadata.name), "bright bold"),
            ("  ", "text"),
            *parts.state(word, meaning),
            ("   age ", "faint"),
            (clock.age(node.metadata.creation_timestamp, cluster.now()), "text"),
        ),
        (
            (" address ", "faint"),
            (inert(node_list.address(node)) or "–", "text"),
            ("   pods ", "faint"),
            (inert(node.spec.pod_cidr) or "–", "text"),
            ("   kernel ", "faint"),
            (inert(info.kernel_version) or "–", "text"),
            ("   kubelet ", "faint"),
            (inert(info.kubelet_version) or "–", "text"),
        ),
    ]


def _resources(cluster: Cluster, node: Node, width: int) -> Block:
    use = node_list.use(cluster, node)
    block: Block = []
    for name, used, asked, capacity, scale, show in (
        ("cpu", use.cpu, use.cpu_requested, use.cpu_capacity, "cpu", numbers.cores),
        ("memory", use.memory, use.memory_requested, use.memory_capacity, "memory", numbers.size),
    ):
        texts = (
            f"{show(used) if used == used else '–'} used  {show(asked)} requested  {show(capacity)}"
        )
        room = max(10, width - len(texts) - 12)
        tick = asked / capacity if capacity and asked else None
        drawn = slim(used / capacity if capacity else 0.0, room, scale, tick=tick)
        block.append(((f" {name:<7}", "dim"), *drawn, (f"  {texts}", "text")))
    return block


def _taints(node: Node) -> Block:
    return [
        ((" ▲ ", "warn"), (inert(f"{taint.key}={taint.value}:{taint.effect}"), "warn"))
        for taint in node.spec.taints
    ]


def node_page(cluster: Cluster, key: str, width: int, height: int, target: str) -> Page:
    """Everything about a node."""
    node = cluster.get("nodes", key)
    if not isinstance(node, Node):
        return missing_page(key)
    page = Page()
    page.add(_title(cluster, node))
    page.add(_taints(node))
    page.add(_resources(cluster, node, width))
    half = (width - 1) // 2
    tall = 12 if height >= 50 else 9 if height >= 30 else 6
    count = (half - 4 - AXIS) * 2
    book = cluster.book
    use = node_list.use(cluster, node)
    page.add(
        beside(
            [
                chart(
                    book.values(f"node/{key}", "cpu", count),
                    half,
                    tall,
                    title="CPU",
                    unit="cores",
                    scale="cpu",
                    show=numbers.cores,
                    hot=use.cpu_capacity,
                    note=((f"capacity {use.cpu_capacity:g}", "dim"),),
                ),
                chart(
                    book.values(f"node/{key}", "memory", count),
                    width - half - 1,
                    tall,
                    title="Memory",
                    scale="memory",
                    show=numbers.size,
                    floor=1 << 20,
                    hot=use.memory_capacity,
                    note=((f"capacity {numbers.size(use.memory_capacity)}", "dim"),),
                ),
            ],
            [half, width - half - 1],
        )
    )
    page.add(*_pods(cluster, key, width, target))
    page.add(_conditions(cluster, node, width))
    page.add(events(cluster, node, width, 8))
    return page


def preview(cluster: Cluster, key: str, width: int, height: int) -> Page:
    """A node beside its list."""
    node = cluster.get("nodes", key)
    if not isinstance(node, Node):
        return missing_page(key)
    use = node_list.use(cluster, node)
    word, meaning = node_list.status(node)
    page = Page([((inert(key), "bright bold"), ("  ", "text"), *parts.state(word, meaning))])
    page.add(_taints(node))
    info = node.status.node_info
    for name, value in (
        ("address", node_list.address(node)),
        ("pod cidr", node.spec.pod_cidr),
        ("kernel", info.kernel_version),
        ("kubelet", info.kubelet_version),
        ("requested", f"{use.cpu_requested:.2f} cores, {numbers.size(use.memory_requested)}"),
    ):
        page.add([((f"{name:<10}", "faint"), (crop(inert(value) or "–", width - 10), "text"))])
    tall = 10 if height >= 44 else 8
    count = (width - 4 - AXIS) * 2
    book = cluster.book
    page.add(
        chart(
            book.values(f"node/{key}", "cpu", count),
            width,
            tall,
            title="CPU",
            unit="cores",
            scale="cpu",
            show=numbers.cores,
            hot=use.cpu_capacity,
            note=((f"capacity {use.cpu_capacity:g}", "dim"),),
        )
    )
    page.add(
        chart(
            book.values(f"node/{key}", "memory", count),
            width,
            tall,
            title="Memory",
            scale="memory",
            show=numbers.size,
            floor=1 << 20,
            hot=use.memory_capacity,
            note=((f"capacity {numbers.size(use.memory_capacity)}", "dim"),),
        )
    )
    pods = sorted(cluster.pods_on(key), key=key_of)
    page.add([rule(width, (("pods ", "text bold"), (str(len(pods)), "accent")))])
    for pod in pods:
        state = parts.state(crop(status(cluster, pod)[0], 18), status(cluster, pod)[1])
        name = crop_middle(inert(pod.metadata.name), width - 22)
        page.add([(*pad(((name, "text"),), width - 21), *state)])
    return page


def _pods(cluster: Cluster, name: str, width: int, target: str) -> tuple[Block, list[Hit]]:
    pods = sorted(cluster.pods_on(name), key=key_of)
    block: Block = [rule(width, (("pods ", "text bold"), (str(len(pods)), "accent")))]
    hits: list[Hit] = []
    for pod in pods:
        key = key_of(pod)
        size = max(20, width - 56)
        chosen = target == f"pods:{key}"
        word, meaning = status(cluster, pod)
        shown = crop_middle(inert(pod.metadata.name), size)
        hits.append(Hit(len(block), 1, len(shown), f"pods:{key}"))
        limit = limits(pod)[1]
        memory = cluster.book.pod_now(key, "memory")
        spans: list[Span] = [
            (" ", "text"),
            *pad(((shown, "bright underline" if chosen else "text"),), size + 1),
            *pad(parts.state(crop(word, 16), meaning), 19),
            *pad(parts.cores(cluster.book.pod_now(key, "cpu")), 6, right=True),
            *pad(parts.mebibytes(memory), 8, right=True),
            ("Mi  ", "faint"),
            *parts.share(memory, limit, 15, "memory"),
        ]
        block.append(tuple(spans))
    return block, hits


def _conditions(cluster: Cluster, node: Node, width: int) -> Block:
    block: Block = [rule(width, (("conditions", "text bold"),))]
    for condition in node.status.conditions:
        good = (condition.status == "True") == (condition.type == "Ready")
        text = inert(condition.message or condition.reason)
        block.append(
            (
                (" ● " if good else " ○ ", "ok" if good else "bad"),
                (f"{inert(condition.type):<20} {inert(condition.status):<8}", "text"),
                (crop(text, max(0, width - 34)), "dim"),
            )
        )
    return block
