"""Pods by the workload that they belong to, kept up as they come and go.

With ten thousand pods to look through, a page that gathered them anew each time would be late.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.types.core import Pod
from engine.types.meta import Object

from .cluster import Cluster
from .pods import status
from .series import HISTORY, Book, total

State = tuple[str, str]
"""What a status means, and its word."""
_ORDER = ("bad", "warn", "busy", "done", "ok")
"""Of meanings, the most pressing first."""
_FIELDS = ("cpu", "memory")


@dataclass
class Group:
    """A workload and its pods."""

    kind: str
    name: str
    namespace: str
    pods: dict[str, Pod] = field(default_factory=dict)
    states: dict[State, dict[str, None]] = field(default_factory=dict)
    """Keys of the pods in each state."""
    _sorted: list[str] | None = None
    _tick: int = -1
    _sums: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in _FIELDS})

    def ordered(self) -> list[str]:
        """Keys of the pods, by name."""
        if self._sorted is None:
            self._sorted = sorted(self.pods)
        return self._sorted

    def worst(self) -> tuple[Pod, State] | None:
        """A pod in the most pressing state."""
        states = sorted(self.states, key=lambda state: _ORDER.index(state[0]))
        return (self.pods[next(iter(self.states[states[0]]))], states[0]) if states else None

    def containers(self, book: Book) -> list[str]:
        """Keys of the containers there are numbers of."""
        return [key for pod in self.pods for key in book.containers(pod)]

    def now(self, book: Book, field: str) -> float:
        """The newest sum over its containers."""
        return self.trend(book, field, 1)[0]

    def trend(self, book: Book, field: str, count: int) -> list[float]:
        """Sums over its containers at each of the last `count` ticks: only those of new ticks are
        reckoned, and those of old ones are over the pods that there were."""
        missed = min(book.tick - self._tick, HISTORY)
        if missed > 0:
            keys = self.containers(book)
            for name, sums in self._sums.items():
                late = book.sums(keys, name, missed)
                sums += late if missed > 1 else [total(late)]
                del sums[:-HISTORY]
            self._tick = book.tick
        values = self._sums[field][-count:]
        return [float("nan")] * (count - len(values)) + values

    def put(self, key: str, pod: Pod, state: State) -> None:
        """A pod that is new, or is in another state now."""
        if key not in self.pods:
            self._sorted = None
        self.pods[key] = pod
        self.states.setdefault(state, {})[key] = None

    def take(self, key: str, state: State) -> None:
        """A pod that is gone, or is not in that state any more."""
        self.states[state].pop(key)
        if not self.states[state]:
            del self.states[state]

    def drop(self, key: str) -> None:
        """A pod that is gone."""
        del self.pods[key]
        self._sorted = None


Name = tuple[str, str, str]
"""Namespace, kind and name of a workload."""


class Groups:
    """All of a cluster's; it follows the cluster from now on."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._groups: dict[Name, Group] = {}
        self._of: dict[str, tuple[Name, State]] = {}
        self._listed: dict[str, list[Group]] = {}
        cluster.followers.append(self._changed)

    def all(self, namespace: str = "") -> list[Group]:
        """By namespace, kind and name; of one namespace, or of all."""
        found = self._listed.get(namespace)
        if found is None:
            names = sorted(name for name in self._groups if namespace in ("", name[0]))
            found = self._listed[namespace] = [self._groups[name] for name in names]
        return found

    def _changed(self, kind: str, key: str, new: Object | None) -> None:
        if kind == "pods" and isinstance(new, Pod):
            self._put(key, new)
        elif kind == "pods":
            self._drop(key)
        elif kind == "replicasets" and new is not None:
            self._again(self._cluster.owned("pods", new))

    def _again(self, pods: Iterable[Object]) -> None:
        """Their owner is known only now: they may belong to what is above it."""
        for pod in pods:
            key = f"{pod.metadata.namespace}/{pod.metadata.name}"
            if isinstance(pod, Pod) and key in self._of:
                self._put(key, pod)

    def _put(self, key: str, pod: Pod) -> None:
        name = (pod.metadata.namespace, *self._cluster.workload(pod))
        word, meaning = status(self._cluster, pod)
        known = self._of.get(key)
        if known is not None and known[0] != name:
            self._drop(key)
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Group(name[1], name[2], name[0])
            self._listed.clear()
        elif known is not None and known[0] == name:
            group.take(key, known[1])
        group.put(key, pod, (meaning, word))
        self._of[key] = name, (meaning, word)

    def _drop(self, key: str) -> None:
        known = self._of.pop(key, None)
        if known is None:
            return
        name, state = known
        group = self._groups[name]
        group.take(key, state)
        group.drop(key)
        if not group.pods:
            del self._groups[name]
            self._listed.clear()
