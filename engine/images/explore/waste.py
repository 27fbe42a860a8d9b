"""Bytes that an image carries for nothing, by path and by layer.

Two measures, both over regular files:

`efficiency` and `wasted` are those of dive (wagoodman/dive, dive/filetree/efficiency.go), so that
its limits can be kept. A path that occurs in several layers counts with every copy it has
(`wasted` is their sum), and should have needed only its smallest: the score is the sum of the
smallest over the sum of all. A whiteout is a copy of 0 bytes; one of a directory, a copy as large
as what it removes.

`hidden` is what building the image anew without the detour would save: the bytes of copies that
nothing shows any more, because a later layer replaced or removed them.

Only directories that several layers have are read; the rest is in the layers' own sums.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.images.explore.node import Kind, Node, join
from engine.images.explore.stack import Found, Live, Stack, settle


@dataclass(slots=True)
class Wasted:
    """One path. `copies`: how many layers have it, whiteouts counted; `total`: the bytes of all of
    them; `hidden`: of those that nothing shows; `layers`: which, lowest first."""

    path: bytes
    copies: int = 0
    total: int = 0
    hidden: int = 0
    layers: tuple[int, ...] = ()


@dataclass(slots=True)
class LayerWaste:
    """One layer. `hidden`: bytes of it that later layers hide; `hides`: bytes of lower layers that
    it hides."""

    hidden: int = 0
    hides: int = 0


@dataclass(slots=True)
class Waste:
    """`paths` has the largest first. `wasted_user_share` is `wasted` over the bytes of all layers
    but the lowest (0 when there are none), as dive counts it."""

    efficiency: float = 1.0
    wasted: int = 0
    hidden: int = 0
    wasted_user_share: float = 0.0
    paths: list[Wasted] = field(default_factory=list)
    layers: list[LayerWaste] = field(default_factory=list)


def waste(stack: Stack) -> Waste:
    """What `stack` wastes."""
    counting = _Counting(stack)
    counting.copies()
    counting.hide()
    found = [each for each in counting.paths.values() if each.copies > 1 or each.hidden]
    found.sort(key=lambda each: (-each.hidden, -each.total, each.path))
    wasted = sum(each.total for each in found if each.copies > 1)
    users = sum(table.root.total for table in stack.tables[1:])
    return Waste(
        efficiency=counting.least / counting.all if counting.all else 1.0,
        wasted=wasted,
        hidden=sum(each.hidden for each in found),
        wasted_user_share=wasted / users if users else 0.0,
        paths=found,
        layers=counting.layers,
    )


class _Counting:
    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.paths: dict[bytes, Wasted] = {}
        self.layers = [LayerWaste() for _ in stack.tables]
        # Every path's smallest copy, and all copies: what only one layer has is in both.
        self.least = self.all = sum(table.root.total for table in stack.tables)

    def copies(self) -> None:
        """dive's measure: by path alone, whatever is visible."""
        pending: list[tuple[bytes, Live]] = [(b"", tuple(range(len(self._stack.tables))))]
        while pending:
            path, layers = pending.pop()
            for name, words in self._stack.occurrences(path, layers).items():
                at = join(path, name)
                having = tuple(layer for layer, node in words if node.is_directory)
                if len(having) > 1:
                    pending.append((at, having))
                leaves = [word for word in words if _is_leaf(word[1])]
                if leaves and (len(words) > 1 or leaves[0][1].kind is Kind.WHITEOUT):
                    self._leaf(at, words, leaves)

    def _leaf(
        self, path: bytes, words: list[tuple[int, Node]], leaves: list[tuple[int, Node]]
    ) -> None:
        sizes = []
        for layer, node in leaves:
            removed = node.kind is Kind.WHITEOUT
            size = self._removed(path, words, layer) if removed else node.size
            self.all += size if removed else 0
            sizes.append(size)
        self.least += min(sizes) - sum(
            node.size for _, node in leaves if node.kind is not Kind.WHITEOUT
        )
        if len(leaves) > 1:
            this = self.paths.setdefault(path, Wasted(path))
            this.copies, this.total = len(leaves), sum(sizes)
            this.layers = tuple(layer for layer, _ in leaves)

    def _removed(self, path: bytes, words: list[tuple[int, Node]], layer: int) -> int:
        before = settle([(n, node) for n, node in words if n < layer])
        return self._stack.sums(path, before)[0] if before and before.live else 0

    def hide(self) -> None:
        """Bytes that nothing shows: by what hides them, where layers meet."""
        root = [(layer, table.root) for layer, table in enumerate(self._stack.tables)]
        pending: list[tuple[bytes, Live]] = []
        self._meet(b"", root, pending)
        while pending:
            path, live = pending.pop()
            for name, words in self._stack.occurrences(path, live).items():
                if len(words) > 1:
                    self._meet(join(path, name), words, pending)

    def _meet(
        self, path: bytes, words: list[tuple[int, Node]], pending: list[tuple[bytes, Live]]
    ) -> None:
        visible: Found | None = None
        for end, (layer, _) in enumerate(words, 1):
            after = settle(words[:end])
            merged = visible and after and visible.live and after.live[:-1] == visible.live
            if visible is not None and not merged:
                self._hidden(path, visible, layer, words)
                if len(visible.live) > 1:
                    pending.append((path, visible.live))
            visible = after
        if visible is not None and len(visible.live) > 1:
            pending.append((path, visible.live))

    def _hidden(self, path: bytes, before: Found, by: int, words: list[tuple[int, Node]]) -> None:
        shares = self._shares(path, before)
        size = sum(shares.values())
        if not size:
            return
        this = self.paths.setdefault(path, Wasted(path))
        this.hidden += size
        this.copies = this.copies or len(words)
        this.layers = this.layers or tuple(layer for layer, _ in words)
        this.total = this.total or size
        self.layers[by].hides += size
        for layer, share in shares.items():
            self.layers[layer].hidden += share

    def _shares(self, path: bytes, found: Found) -> dict[int, int]:
        """Which layers the visible bytes at a path are from."""
        if not found.live:
            return {found.layer: found.node.size}
        if len(found.live) == 1:
            return {found.layer: found.node.total}
        shares: dict[int, int] = {}
        for _, below in self._stack.walk(path, found.live):
            shares[below.layer] = shares.get(below.layer, 0) + below.node.size
        return shares


def _is_leaf(node: Node) -> bool:
    return not (node.is_directory and node.touched)
