"""Why a pod is where it is, or why it still waits: one scheduling cycle, kept.

Invariant: every node of the cluster at that moment is either rejected by exactly one plugin, with
at least one reason, or has a score from every scoring plugin; `total` is the weighted sum.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.scheduler.columns import Bytes, Ints, Mask

KEPT = 4096
KEPT_CELLS = 2_000_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was said about one node."""

    node: str
    rejected_by: str
    reasons: tuple[str, ...]
    scores: dict[str, int]
    total: int


@dataclass(slots=True)
class Decision:
    """The outcome of one cycle. `rejected` holds per node 0, or 1 + the index of the plugin.

    `node` is the chosen node, empty when there is none; `at` is unix seconds.
    """

    pod: str
    uid: str
    at: float
    node: str
    names: tuple[str, ...]
    plugins: tuple[str, ...]
    rejected: Bytes
    reasons: list[tuple[str, Mask]]
    scores: dict[str, Ints] = field(default_factory=dict)
    total: Ints | None = None

    def verdicts(self) -> Iterator[Verdict]:
        """One verdict for every node, in no particular order."""
        for row, name in enumerate(self.names):
            if name:
                yield self._verdict(row, name)

    def _verdict(self, row: int, name: str) -> Verdict:
        by = int(self.rejected[row])
        if by:
            reasons = tuple(text for text, nodes in self.reasons if nodes[row])
            return Verdict(name, self.plugins[by - 1], reasons, {}, 0)
        scores = {plugin: int(column[row]) for plugin, column in self.scores.items()}
        return Verdict(name, "", (), scores, int(self.total[row]) if self.total is not None else 0)

    def rejecting_plugins(self) -> frozenset[str]:
        """Names of the plugins that rejected at least one node."""
        present = {int(by) for by in set(self.rejected.tolist()) if by}
        return frozenset(self.plugins[by - 1] for by in present)

    def message(self) -> str:
        """Kubernetes' text for a pod that fits nowhere, reasons with the number of nodes each."""
        count = sum(1 for name in self.names if name)
        if not count:
            return "no nodes available to schedule pods"
        lines = sorted(f"{int(nodes.sum())} {text}" for text, nodes in self.reasons)
        return f"0/{count} nodes are available: {', '.join(lines)}."

    @property
    def cells(self) -> int:
        """Numbers held, the measure of its memory."""
        return self.rejected.size * (1 + len(self.scores) + len(self.reasons))


class Decisions:
    """The last decision about each pod, bounded in number and in size; the oldest go first."""

    def __init__(self) -> None:
        self._by_uid: OrderedDict[str, Decision] = OrderedDict()
        self._cells = 0

    def add(self, decision: Decision) -> None:
        """Keep a decision; it replaces an older one about the same pod."""
        self.discard(decision.uid)
        self._by_uid[decision.uid] = decision
        self._cells += decision.cells
        while len(self._by_uid) > KEPT or (self._cells > KEPT_CELLS and len(self._by_uid) > 1):
            _, old = self._by_uid.popitem(last=False)
            self._cells -= old.cells

    def get(self, uid: str) -> Decision | None:
        """The last decision about the pod with that uid, if it is still kept."""
        return self._by_uid.get(uid)

    def discard(self, uid: str) -> None:
        """Forget what was decided about a pod."""
        old = self._by_uid.pop(uid, None)
        if old is not None:
            self._cells -= old.cells

    def __len__(self) -> int:
        return len(self._by_uid)
