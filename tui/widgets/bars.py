"""The lines around the body: identity and insight above, crumbs and keys below."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import events
from textual.message import Message

from ..commands.command import Command, key_sign
from ..model import nodes as node_list
from ..model.cluster import Cluster
from ..model.insight import insight
from ..model.series import grouped
from ..render import cells as parts
from ..render import numbers
from ..render.spans import Line, Span, cells, clip, spread, width_of
from ..render.text import inert
from .surface import Surface

_STATES = {"live": ("●", "ok"), "connecting": ("◌", "busy"), "stale": ("▲", "bad")}


class StatusBar(Surface):
    """Two rows: what cluster this is and how it fares; one sentence of insight."""

    DEFAULT_CSS = "StatusBar { height: 2; }"
    whole = True

    def __init__(self, cluster: Cluster, mode: Callable[[], str]) -> None:
        super().__init__(id="status")
        self.cluster = cluster
        self.mode = mode

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
        nodes = cluster.objects("nodes")
        if nodes and width >= 60:
            left.append((f"  {numbers.plural(len(nodes), 'node')}", "dim"))
            left.append((f"  {numbers.plural(len(cluster.pods()), 'pod')}", "dim"))
        return _on_bar(spread(left, self._totals(width), width), width)

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


def _on_bar(spans: Line, width: int) -> Line:
    out = tuple((text, f"{role} @bar") for text, role in spans)
    return (*out, (" " * max(0, width - width_of(out)), "@bar"))


class KeyBar(Surface):
    """One row: where one is, the keys that matter here, and short-lived messages over all of it."""

    DEFAULT_CSS = "KeyBar { height: 1; }"

    class Pressed(Message):
        """A click on a hint."""

        def __init__(self, command: Command) -> None:
            self.command = command
            super().__init__()

    def __init__(self) -> None:
        super().__init__(id="keys")
        self.crumbs: list[str] = []
        self.commands: Sequence[Command] = ()
        self.right = ""
        self._flash: tuple[str, str] | None = None
        self._zones: list[tuple[int, int, Command]] = []

    def show(self, crumbs: list[str], commands: Sequence[Command], right: str = "") -> None:
        """Another place."""
        self.crumbs = crumbs
        self.commands = commands
        self.right = right
        self.repaint()

    def flash(self, text: str, role: str = "text") -> None:
        """Show a message until the next one, or until `unflash`."""
        self._flash = (inert(text), role)
        self.repaint()

    def unflash(self) -> None:
        """Take the message away."""
        self._flash = None
        self.repaint()

    def row(self, y: int) -> Line:
        width = self.size.width
        if self._flash is not None:
            text, role = self._flash
            sign = {"bad": "✖", "warn": "▲", "ok": "✔"}.get(role, "·")
            return _on_bar(clip(((f" {sign} {text}", f"{role} bold"),), width), width)
        left: list[Span] = [(" ", "text")]
        for index, crumb in enumerate(self.crumbs):
            last = index == len(self.crumbs) - 1
            if index:
                left.append((" › ", "faint"))
            left.append((inert(crumb), "bright bold" if last else "dim"))
        left = list(clip(left, max(20, width // 2)))
        left.append(("  ", "text"))
        right: list[Span] = [(f" {self.right} ", "dim")] if self.right else []
        self._zones = []
        helper = next((command for command in self.commands if command.id == "help"), None)
        if helper is not None:
            right += [(key_sign(helper.keys[0]), "key bold"), (f" {helper.hint} ", "dim")]
            self._zones.append((width - width_of(right), width, helper))
        x = width_of(left)
        room = width - width_of(right)
        for command in self.commands:
            if command is helper:
                continue
            sign, hint = key_sign(command.keys[0]), command.hint
            size = cells(sign) + cells(hint) + 3
            if x + size > room:
                break
            left += [(sign, "key bold"), (f" {hint}  ", "dim")]
            self._zones.append((x, x + size, command))
            x += size
        return _on_bar(spread(left, right, width), width)

    def on_click(self, event: events.Click) -> None:
        for start, end, command in self._zones:
            if start <= event.x < end:
                self.post_message(self.Pressed(command))
