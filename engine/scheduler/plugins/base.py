"""What a scheduling plugin is: one question about every node at once, and words for its answer.

A plugin never mutates the columns. A plugin that is `static` judges only declarations of the node
and of the pod, so its answers are cached for all pods that declare the same.
"""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from engine.scheduler.columns import Columns, Ints, Mask
from engine.scheduler.event import Change, Event
from engine.scheduler.pod import PodInfo

BEST = 100


class Plugin:
    """Base of all plugins: by default rejects nothing, prefers nothing, and waits for nothing."""

    name: ClassVar[str]
    weight: ClassVar[int] = 1
    static: ClassVar[bool] = False
    helped_by: ClassVar[Change] = Change(0)

    def mask(self, cluster: Columns, pod: PodInfo) -> Mask | None:
        """True where the pod may run; None when it may run everywhere."""
        return None

    def reasons(self, cluster: Columns, pod: PodInfo, rejected: Mask) -> Iterator[tuple[str, Mask]]:
        """Why: texts in Kubernetes' words, each with the rejected nodes it is true of."""
        raise NotImplementedError(f"plugin {self.name} rejects nodes without saying why")

    def score(self, cluster: Columns, pod: PodInfo) -> Ints | None:
        """Raw preference per node; None when every node is equally good."""
        return None

    def normalise(self, raw: Ints, feasible: Mask) -> Ints:
        """Bring raw scores to 0..100 over the feasible nodes; 100 is best."""
        return raw

    def helps(self, event: Event, pod: PodInfo) -> bool:
        """Whether a pod this plugin rejected may fit after the event. False only when certain."""
        return bool(event.change & self.helped_by)


def scale_up(raw: Ints, feasible: Mask) -> Ints:
    """More is better: the highest feasible score becomes 100, zero stays zero."""
    top = int(raw[feasible].max(initial=0))
    return np.zeros_like(raw) if top == 0 else (raw * BEST / top).astype(np.int64)


def scale_down(raw: Ints, feasible: Mask) -> Ints:
    """Less is better: zero becomes 100, the highest feasible score becomes 0."""
    top = int(raw[feasible].max(initial=0))
    return np.full_like(raw, BEST) if top == 0 else BEST - (raw * BEST / top).astype(np.int64)
