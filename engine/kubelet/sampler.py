"""What a node and its containers use: one look at their counters, and the rates since the last one.

Counters are read through descriptors that stay open (10 µs a container), network counters by one
dump of the node's links. A rate is a difference over the time between the two readings, so a late
tick does not lie.
"""

import socket
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from engine.linux import netlink
from engine.linux.flags import CLONE
from engine.linux.namespace import setns
from engine.runtime.cgroup.api import Hierarchy
from engine.runtime.cgroup.sampling import Pressure, PressureSampler, Sample, Sampler
from engine.types.stats import ContainerSample, NodeSample


@dataclass(frozen=True, slots=True)
class Target:
    """A container to look at. `link` is its pod's link index on the node; cpu_limit is in cores."""

    key: str
    cgroup: bytes
    cpu_limit: float | None
    link: int


@dataclass(slots=True)
class _Counter:
    sampler: Sampler
    pressure: PressureSampler | None
    last: Sample | None = None
    waited: Pressure | None = None


class NodeSampler:
    """One node's. `links` is rtnetlink in the node's network namespace (see links_of)."""

    def __init__(
        self, node: str, hierarchy: Hierarchy, cgroup: bytes, links: socket.socket
    ) -> None:
        self._node = node
        self._hierarchy = hierarchy
        self._cgroup = cgroup
        self._links = links
        self._counters: dict[bytes, _Counter] = {}
        self._traffic: dict[int, tuple[int, int]] = {}
        self._looked_ns = 0

    def look(
        self, targets: Iterable[Target], pods: int
    ) -> tuple[NodeSample, dict[str, ContainerSample]]:
        """The node, and each container by its key. One that has just ended is left out."""
        targets = list(targets)
        self._close_all_but({self._cgroup, *(target.cgroup for target in targets)})
        whole = self._read(self._cgroup)
        rates = self._traffic_rates()
        containers = {}
        for target in targets:
            read = self._read(target.cgroup)
            if read is not None:
                self._hierarchy.keep_limits(target.cgroup, read[0])
                containers[target.key] = self._container(target, *read, rates)
        node = NodeSample(pods=pods)
        if whole is not None:
            node.cpu, node.memory, node.pids = _cores(*whole), whole[0].working_set, whole[0].pids
        # Of its pods, each counted once: the node's other links carry the same bytes again.
        links = {target.link for target in targets} & rates.keys()
        node.rx = sum(rates[link][0] for link in links)
        node.tx = sum(rates[link][1] for link in links)
        return node, containers

    def _container(
        self,
        target: Target,
        now: Sample,
        before: Sample | None,
        rates: dict[int, tuple[float, float]],
    ) -> ContainerSample:
        rx, tx = rates.get(target.link, (0.0, 0.0))
        throttled = 0.0
        if before is not None and now.time_ns > before.time_ns:
            held = (now.throttled_ns - before.throttled_ns) / (now.time_ns - before.time_ns)
            throttled = min(1.0, held)
        waited = self._counters[target.cgroup].waited or Pressure(cpu=0.0, memory=0.0, io=0.0)
        return ContainerSample(
            node=self._node,
            cpu=_cores(now, before),
            memory=now.working_set,
            anon=now.anon,
            file=now.file,
            kernel=now.kernel,
            memory_limit=now.memory_limit,
            cpu_limit=target.cpu_limit,
            pids=now.pids,
            throttled=round(throttled, 4),
            cpu_pressure=waited.cpu,
            memory_pressure=waited.memory,
            io_pressure=waited.io,
            rx=rx,
            tx=tx,
            oom_kills=now.oom_kills,
        )

    def _read(self, cgroup: bytes) -> tuple[Sample, Sample | None] | None:
        """The counters now and the last time; None for a cgroup that is gone."""
        try:
            counter = self._counters.get(cgroup)
            if counter is None:
                counter = self._open(cgroup)
            now, before = counter.sampler.sample(), counter.last
            if counter.pressure is not None:
                counter.waited = counter.pressure.sample()
        except OSError:
            self._close(cgroup)
            return None
        counter.last = now
        return now, before

    def _open(self, cgroup: bytes) -> _Counter:
        counter = self._counters[cgroup] = _Counter(self._hierarchy.sampler(cgroup), None)
        counter.pressure = self._hierarchy.pressure(cgroup)
        return counter

    def _traffic_rates(self) -> dict[int, tuple[float, float]]:
        """(received, sent) bytes per second of what is at the other end of each link."""
        counted = netlink.link_stats(self._links)
        last = self._counters[self._cgroup].last if self._cgroup in self._counters else None
        now_ns = last.time_ns if last else 0
        seconds = (now_ns - self._looked_ns) / 1e9
        before, self._traffic, self._looked_ns = self._traffic, counted, now_ns
        if seconds <= 0:
            return {}
        # What the node's end received is what the pod sent.
        return {
            index: ((sent - before[index][1]) / seconds, (received - before[index][0]) / seconds)
            for index, (received, sent) in counted.items()
            if index in before
        }

    def _close_all_but(self, wanted: set[bytes]) -> None:
        for cgroup in [cgroup for cgroup in self._counters if cgroup not in wanted]:
            self._close(cgroup)

    def _close(self, cgroup: bytes) -> None:
        counter = self._counters.pop(cgroup, None)
        if counter is not None:
            counter.sampler.close()
            if counter.pressure is not None:
                counter.pressure.close()

    def close(self) -> None:
        self._close_all_but(set())
        self._links.close()


def _cores(now: Sample, before: Sample | None) -> float:
    if before is None or now.time_ns <= before.time_ns:
        return 0.0
    return round((now.cpu_ns - before.cpu_ns) / (now.time_ns - before.time_ns), 4)


def links_of(netns_fd: int) -> socket.socket:
    """rtnetlink in a network namespace.

    A socket belongs for good to the namespace of the thread that opens it, so a thread enters the
    namespace, opens one, and ends.
    """
    opened: list[socket.socket] = []
    failures: list[OSError] = []

    def run() -> None:
        try:
            setns(netns_fd, CLONE.NEWNET)
            opened.append(netlink.connect())
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="netlink")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return opened[0]
