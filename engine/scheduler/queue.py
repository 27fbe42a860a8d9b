"""The pods that wait to be placed, in three parts.

- active: to be tried now, by priority, then by age;
- backoff: to be tried when their time has come;
- unschedulable: tried and rejected; an event that may help one of the plugins that rejected them,
  or five minutes, brings them back.

Invariant: a pod is in at most one part. Time is given, never taken, so a test can move it.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.scheduler.event import Event
from engine.scheduler.plugins.base import Plugin
from engine.scheduler.pod import PodInfo

FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 10.0
LONGEST_WAIT = 300.0


@dataclass(slots=True)
class Waiting:
    """A pod in the queue. `tried` counts failed cycles; `since` is its entry, unix seconds."""

    pod: PodInfo
    since: float
    tried: int = 0
    rejected_at: float = 0.0
    rejected_by: frozenset[str] = frozenset()
    part: str = ""

    def ready_at(self) -> float:
        """When its backoff is over: 1, 2, 4, 8, then 10 seconds after the last failure."""
        if not self.tried:
            return 0.0
        doubled: float = FIRST_BACKOFF * 2 ** min(self.tried - 1, 10)
        return self.rejected_at + min(doubled, LONGEST_BACKOFF)


class SchedulingQueue:
    """Waiting pods by uid."""

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        self._plugins: Mapping[str, Plugin] = {plugin.name: plugin for plugin in plugins}
        self._waiting: dict[str, Waiting] = {}
        self._active: list[tuple[int, str, int, Waiting]] = []
        self._backoff: list[tuple[float, int, Waiting]] = []
        self._unschedulable: dict[str, Waiting] = {}
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def parts(self) -> dict[str, int]:
        """How many pods each part holds."""
        counts = {"active": 0, "backoff": 0, "unschedulable": 0}
        for waiting in self._waiting.values():
            counts[waiting.part] += 1
        return counts

    def put(self, pod: PodInfo, now: float) -> None:
        """A pod is new or changed: try it now. A changed pod keeps its place in time."""
        old = self._remove(pod.uid)
        self._activate(Waiting(pod, old.since if old else now))

    def drop(self, uid: str) -> None:
        """The pod is gone or placed."""
        self._remove(uid)

    def pop(self, now: float) -> Waiting | None:
        """The next pod to try; it leaves the queue. None when there is nothing to do now."""
        self._release(now)
        while self._active:
            waiting = heapq.heappop(self._active)[3]
            if waiting.part == "active":
                self._leave(waiting)
                return waiting
        return None

    def reject(self, waiting: Waiting, by: frozenset[str], now: float) -> None:
        """No node suits the pod: it waits for an event that helps."""
        self._failed(waiting, by, now)
        self._enter(waiting, "unschedulable")
        self._unschedulable[waiting.pod.uid] = waiting

    def retry(self, waiting: Waiting, now: float) -> None:
        """A node suited but the placing failed: the pod is tried again after its backoff."""
        self._failed(waiting, frozenset(), now)
        self._back_off(waiting)

    def move(self, event: Event, now: float) -> int:
        """Bring back the rejected pods the event may help; returns how many."""
        if not self._unschedulable:
            return 0
        helping = {
            name for name, plugin in self._plugins.items() if event.change & plugin.helped_by
        }
        moved = [
            waiting
            for waiting in self._unschedulable.values()
            if not waiting.rejected_by
            or any(
                self._plugins[name].helps(event, waiting.pod)
                for name in waiting.rejected_by & helping
            )
        ]
        for waiting in moved:
            self._bring_back(waiting, now)
        return len(moved)

    def wake_at(self) -> float | None:
        """When, in unix seconds, the queue next has something of its own accord; None: never."""
        while self._backoff and self._backoff[0][2].part != "backoff":
            heapq.heappop(self._backoff)
        times = [self._backoff[0][0]] if self._backoff else []
        if self._unschedulable:
            # Rejection times grow with the dict's order, so the first one is the oldest.
            oldest = next(iter(self._unschedulable.values()))
            times.append(oldest.rejected_at + LONGEST_WAIT)
        return min(times, default=None)

    def _release(self, now: float) -> None:
        while self._backoff and self._backoff[0][0] <= now:
            waiting = heapq.heappop(self._backoff)[2]
            if waiting.part == "backoff":
                self._activate(waiting)
        while self._unschedulable:
            oldest = next(iter(self._unschedulable.values()))
            if oldest.rejected_at + LONGEST_WAIT > now:
                break
            self._bring_back(oldest, now)

    def _bring_back(self, waiting: Waiting, now: float) -> None:
        del self._unschedulable[waiting.pod.uid]
        if waiting.ready_at() <= now:
            self._activate(waiting)
        else:
            self._back_off(waiting)

    def _failed(self, waiting: Waiting, by: frozenset[str], now: float) -> None:
        waiting.tried += 1
        waiting.rejected_at = now
        waiting.rejected_by = by

    def _activate(self, waiting: Waiting) -> None:
        self._enter(waiting, "active")
        pod = waiting.pod
        order = (-pod.priority, pod.created, self._sequence, waiting)
        heapq.heappush(self._active, order)

    def _back_off(self, waiting: Waiting) -> None:
        self._enter(waiting, "backoff")
        heapq.heappush(self._backoff, (waiting.ready_at(), self._sequence, waiting))

    def _enter(self, waiting: Waiting, part: str) -> None:
        self._sequence += 1
        waiting.part = part
        self._waiting[waiting.pod.uid] = waiting

    def _leave(self, waiting: Waiting) -> None:
        waiting.part = ""
        self._waiting.pop(waiting.pod.uid, None)

    def _remove(self, uid: str) -> Waiting | None:
        waiting = self._waiting.get(uid)
        if waiting is not None:
            self._unschedulable.pop(uid, None)
            self._leave(waiting)
        return waiting
