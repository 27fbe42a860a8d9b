"""Cells that stand for nodes and pods, coloured by state or by how hot they are; and a map of very
many nodes, a cell each."""

from __future__ import annotations

from engine.types.core import Node, Pod

from ..model import nodes as node_list
from ..model.cluster import Cluster
from ..model.pods import key_of, limits, status
from ..render import cells as parts
from ..render import numbers
from ..render.bars import heat as heat_role
from ..render.page import Hit
from ..render.spans import Block, Line, Span, rule
from ..render.text import inert

HEAT_WORDS = {
    "state": "state",
    "cpu": "CPU: of a node's cores, of a container's limit",
    "memory": "memory: of a node's, of a container's limit",
}
HEATS = tuple(HEAT_WORDS)
AIRY = 12
"""Rows of the map up to which its cells stand apart."""


def pod_colour(cluster: Cluster, pod: Pod, heat: str) -> str:
    """The role of a pod's cell; by its state when there are no numbers of it."""
    state = status(cluster, pod)[1]
    if heat == "state" or state in ("bad", "warn"):
        return state
    used = cluster.book.pod_now(key_of(pod), heat)
    if used != used:
        return "faint"
    cpu, memory = limits(pod)
    node = cluster.get("nodes", pod.spec.node_name)
    whole = node_list.allocatable(node) if isinstance(node, Node) else (1.0, 1 << 30)
    limit = (cpu or whole[0]) if heat == "cpu" else float(memory or whole[1])
    return heat_role(heat, used / limit if limit else 0.0)


def node_colour(cluster: Cluster, node: Node, heat: str) -> str:
    """The role of a node's cell."""
    state = node_list.status(node)[1]
    if heat == "state" or state == "bad":
        return state
    name = node.metadata.name
    used = cluster.book.now(f"node/{name}", heat)
    whole = node_list.allocatable(node)[0 if heat == "cpu" else 1]
    return heat_role(heat, used / whole) if used == used and whole else "faint"


def heat_map(
    cluster: Cluster, nodes: list[Node], heat: str, width: int, target: str
) -> tuple[Block, list[Hit]]:
    """A cell a node, in their order; what the chosen one is stands above."""
    step = 2 if len(nodes) <= width // 2 * AIRY else 1
    across = max(1, width // step)
    block: Block = [rule(width, _title(cluster, nodes, heat, target))]
    hits: list[Hit] = []
    for start in range(0, len(nodes), across):
        spans: list[Span] = []
        for column, node in enumerate(nodes[start : start + across]):
            key = f"nodes:{node.metadata.name}"
            role = node_colour(cluster, node, heat)
            spans.append(("■", f"ink @{role}" if key == target else role))
            if step == 2:
                spans.append((" ", "text"))
            hits.append(Hit(len(block), column * step, 1, key))
        block.append(_merged(spans))
    return block, hits


def _merged(spans: list[Span]) -> Line:
    """Neighbours of one colour as one span: a row of a thousand cells is few of them."""
    out: list[Span] = []
    for text, role in spans:
        if out and (role == out[-1][1] or text == " "):
            out[-1] = (out[-1][0] + text, out[-1][1])
        else:
            out.append((text, role))
    return tuple(out)


def _title(cluster: Cluster, nodes: list[Node], heat: str, target: str) -> list[Span]:
    title: list[Span] = [("nodes ", "text bold"), (str(len(nodes)), "accent")]
    tally: dict[tuple[str, str], int] = {}
    for node in nodes:
        state = node_list.status(node)
        tally[state] = tally.get(state, 0) + 1
    for (word, meaning), count in sorted(tally.items(), key=lambda item: -item[1]):
        title.append((f"  {parts.glyph(meaning)} {count} {word}", meaning))
    chosen = cluster.get("nodes", target.removeprefix("nodes:"))
    if isinstance(chosen, Node):
        use = node_list.use(cluster, chosen)
        title.append((f"  {inert(chosen.metadata.name)}", "bright bold"))
        if use.cpu == use.cpu:
            title.append((f" {numbers.cores(use.cpu)} cores {numbers.size(use.memory)}", "text"))
        title.append((f" {numbers.plural(use.pods, 'pod')}", "dim"))
    if heat != "state":
        title.append((f"  heat: {heat}", "dim"))
    return title
