"""The lines above the body: what cluster this is and how it fares, and one sentence of insight."""

from __future__ import annotations

from collections.abc import Callable

from ..model import nodes as node_list
from ..model.cluster import Cluster
from ..model.insight import insight
from ..model.series import grouped
from ..render import cells as parts
from ..render import numbers
from ..render.spans import Line, Span, on_bar, spread
from ..render.text import inert
from .surface import Surface

_STATES = {"live": ("●", "ok"), "connecting": ("◌", "busy"), "stale": ("▲", "bad")}


class StatusBar(Surface):
    """Two rows: what cluster this is and how it fares; one sentence of insight."""

    DEFAULT_CSS = "StatusBar { height: 2; }"
    whole = True

    def __init__(
        self, cluster: Cluster, mode: Callable[[], str], read_only: Callable[[], bool]
    ) -> None:
        super().__init__(id="status")
        self.cluster = cluster
        self.mode = mode
        self.read_only = read_only

    def rows(self) -> list[Line]:
        return [self._identity(self.size.width), self._insight(self.size.width)]

    def row(self, y: int) -> Line:
        return self.rows()[y]

    def _identity(self, width: int) -> Line:
        cluster = self.cluster
        state = cluster.state
        glyph, role = _STATES[state]
        words = {"stale": "disconnected", "connecting": "connecting"}.get(state, "live")
        left: list[Span] = [
            (" ◉ podarium", "accent bold"),
            ("  ", "text"),
            (inert(cluster.name), "bright bold"),
            (f"  {glyph} {words}", role),
        ]
        if self.read_only():
            left.append(("  ⊘ read-only", "warn"))
        nodes = cluster.objects("nodes")
        if nodes and width >= 60:
            left.append((f"  {numbers.plural(len(nodes), 'node')}", "dim"))
            left.append((f"  {numbers.plural(len(cluster.pods()), 'pod')}", "dim"))
        return on_bar(spread(left, self._totals(width), width), width)

    def _totals(self, width: int) -> Line:
        book = self.cluster.book
        nodes = list(self.cluster.objects("nodes").values())
        if not nodes or "stats" in self.cluster.missing:
            return ()
        keys = [f"node/{node.metadata.name}" for node in nodes]
        cpu_capacity, memory_capacity = node_list.capacity(self.cluster)
        size = 12 if width >= 110 else 6
        spans: list[Span] = []
        for label, field, capacity, show in (
            ("cpu", "cpu", cpu_capacity, numbers.cores),
            ("mem", "memory", float(memory_capacity), numbers.size),
        ):
            values = book.sums(keys, field, size * 4)
            last = values[-1]
            peak = max((v for v in values if v == v), default=0.0)
            scale = "cpu" if field == "cpu" else "memory"
            spans.append((f"  {label} ", "dim"))
            top = max(peak * 1.1, capacity * 0.02)
            spans += parts.trend(grouped(values, size), size, scale, top, capacity)
            text = show(last) if last == last else "–"
            spans.append((f" {text}", "text"))
            if width >= 96:
                of = f"{capacity:g}" if field == "cpu" else numbers.size(capacity)
                spans.append((f"/{of}", "faint"))
        spans.append((" ", "text"))
        return tuple(spans)

    def _insight(self, width: int) -> Line:
        mode = self.mode()
        right: list[Span] = [(f" {mode} ", "dim")] if mode else []
        if self.cluster.state == "stale":
            words: Line = (
                (
                    " disconnected from the engine: these are the last known facts; trying again",
                    "bad",
                ),
            )
            return spread(words, right, width)
        if self.cluster.state == "connecting":
            return spread(((" waiting for the API", "dim"),), right, width)
        return spread(((" ", "text"), *insight(self.cluster)), right, width)
