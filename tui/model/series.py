"""What the containers and nodes used, second by second: rings of numbers, aligned on the ticks.

Every ring holds the same last seconds. A container that was not there at a tick has NaN there, so
that charts of several containers line up and a pod's sum is right at every second.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping

HISTORY = 600
"""Seconds kept."""

NAN = math.nan

CONTAINER_FIELDS = (
    *("cpu", "memory", "anon", "file", "kernel", "pids", "throttled", "rx", "tx"),
    *("cpu_pressure", "memory_pressure", "io_pressure"),
)
NODE_FIELDS = ("cpu", "memory", "pids", "rx", "tx")


class Ring:
    """One number a tick, the newest last; grows to HISTORY and then forgets the oldest."""

    __slots__ = ("_data", "_tick")

    def __init__(self) -> None:
        self._data: array[float] = array("f")
        self._tick = -1
        """The tick of the last number."""

    def put(self, tick: int, value: float) -> None:
        """Add the number of a tick; ticks that were missed become NaN."""
        missed = min(tick - self._tick - 1, HISTORY) if self._data else 0
        if missed > 0:
            self._data.extend([NAN] * missed)
        self._data.append(value)
        self._tick = tick
        if len(self._data) > 2 * HISTORY:
            del self._data[:-HISTORY]

    def last(self, count: int, now: int) -> list[float]:
        """The numbers of the `count` ticks up to `now`; what is missing is NaN."""
        late = max(0, now - self._tick)
        values = self._data[-max(0, count - late) :].tolist() if count > late else []
        return [NAN] * (count - late - len(values)) + values + [NAN] * min(late, count)

    def at(self, now: int) -> float:
        """The number of the tick `now`, NaN when there is none."""
        return self._data[-1] if self._data and self._tick == now else NAN


class Book:
    """Rings by object and field, fed by ticks."""

    def __init__(self) -> None:
        self.tick = -1
        """Number of the newest tick; it counts from the first one seen."""
        self.time = 0.0
        """Unix time of the newest tick."""
        self.limits: dict[str, tuple[float | None, float | None]] = {}
        """CPU limit (cores) and memory limit (bytes) by container key."""
        self._rings: dict[str, dict[str, Ring]] = {}
        self._pods: dict[str, dict[str, None]] = {}
        self._oom: dict[str, list[tuple[int, int]]] = {}
        self._hot: tuple[tuple[str, float], tuple[str, float]] = ("", 0.0), ("", 0.0)

    def begin(self, time: float, nodes: Mapping[str, object]) -> None:
        """A new tick, with its nodes; a gap in time becomes a gap in the rings."""
        step = 1 if self.tick < 0 else max(1, min(HISTORY, round(time - self.time)))
        self.tick += step
        self.time = time
        self._hot = ("", 0.0), ("", 0.0)
        if self.tick % HISTORY == 0:
            self._forget()
        for name, node in nodes.items():
            self._put(f"node/{name}", NODE_FIELDS, node)

    def take(self, containers: Iterable[tuple[str, object]]) -> None:
        """Numbers of some of the tick's containers, by `namespace/pod/container`."""
        for key, sample in containers:
            self._put(key, CONTAINER_FIELDS, sample)
            self.limits[key] = (
                getattr(sample, "cpu_limit", None),
                getattr(sample, "memory_limit", None),
            )
            self._pods.setdefault(key.rsplit("/", 1)[0], {})[key] = None
            self._note_heat(key, sample)
            kills = getattr(sample, "oom_kills", 0)
            if kills:
                marks = self._oom.setdefault(key, [])
                if not marks or marks[-1][1] != kills:
                    marks.append((self.tick, kills))

    def _note_heat(self, key: str, sample: object) -> None:
        """Remember who uses most CPU, and who is nearest to the memory limit, in this tick."""
        cpu, memory = self._hot
        used = float(getattr(sample, "cpu", 0.0))
        limit = self.limits[key][1]
        fraction = getattr(sample, "memory", 0) / limit if limit else 0.0
        if used > cpu[1]:
            cpu = (key, used)
        if fraction > memory[1]:
            memory = (key, fraction)
        self._hot = cpu, memory

    @property
    def hot_cpu(self) -> tuple[str, float]:
        """The container that uses most CPU in the newest tick, and how many cores."""
        return self._hot[0]

    @property
    def hot_memory(self) -> tuple[str, float]:
        """The container nearest to its memory limit in the newest tick, and the fraction of it."""
        return self._hot[1]

    def _put(self, key: str, fields: tuple[str, ...], sample: object) -> None:
        rings = self._rings.get(key)
        if rings is None:
            rings = self._rings[key] = {field: Ring() for field in fields}
        tick = self.tick
        for field, ring in rings.items():
            ring.put(tick, float(getattr(sample, field)))

    def _forget(self) -> None:
        """Drop what has been silent for the whole history."""
        horizon = self.tick - HISTORY
        for key, rings in list(self._rings.items()):
            if next(iter(rings.values()))._tick < horizon:
                del self._rings[key]
                self.limits.pop(key, None)
                self._oom.pop(key, None)
                pod = key.rsplit("/", 1)[0]
                if pod in self._pods:
                    self._pods[pod].pop(key, None)

    # -- reading -----------------------------------------------------------------------------

    def containers(self, pod: str) -> list[str]:
        """Keys of the containers seen of a pod `namespace/name`."""
        return list(self._pods.get(pod, ()))

    def now(self, key: str, field: str) -> float:
        """The newest number of a container or `node/NAME`, NaN when it has none."""
        rings = self._rings.get(key)
        return rings[field].at(self.tick) if rings else NAN

    def values(self, key: str, field: str, count: int) -> list[float]:
        """The last `count` numbers, oldest first."""
        rings = self._rings.get(key)
        return rings[field].last(count, self.tick) if rings else [NAN] * count

    def pod_now(self, pod: str, field: str) -> float:
        """The newest sum over a pod's containers."""
        return total(self.now(key, field) for key in self._pods.get(pod, ()))

    def pod_values(self, pod: str, field: str, count: int) -> list[float]:
        """Sums over a pod's containers at each of the last `count` ticks."""
        return self.sums(self._pods.get(pod, ()), field, count)

    def sums(self, keys: Iterable[str], field: str, count: int) -> list[float]:
        """Sums over several containers or nodes, tick by tick; NaN where none has a number."""
        columns = [self.values(key, field, count) for key in keys]
        if not columns:
            return [NAN] * count
        if len(columns) == 1:
            return columns[0]
        return [total(column) for column in zip(*columns, strict=True)]

    def ooms(self, key: str, count: int) -> list[int]:
        """Ages, in ticks, of the kernel's kills among the last `count` ticks."""
        return [self.tick - at for at, _ in self._oom.get(key, ()) if self.tick - at < count]


def total(values: Iterable[float]) -> float:
    """The sum of the numbers there are; NaN when there are none."""
    result = NAN
    for value in values:
        if value == value:
            result = value if result != result else result + value
    return result


def grouped(values: list[float], width: int) -> list[float]:
    """The values as `width` means of equal stretches, for charts narrower than their data."""
    size = len(values) / width
    out = []
    for index in range(width):
        part = [v for v in values[int(index * size) : int((index + 1) * size)] if v == v]
        out.append(sum(part) / len(part) if part else NAN)
    return out
