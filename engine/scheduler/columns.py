"""The cluster as columns: one numpy array per fact, one row per node.

Invariants: a row's `requested` is always the sum over the pods placed on that node (assumed or
bound), so a cycle that respects `allocatable` never over-commits; `version` grows exactly when
something a node *declares* (labels, taints, cordon, images) changes, so whatever was derived from
declarations may be cached under it. Rows of nodes that left are kept, not alive, for the next
node to come. Cpu is in millicores, memory and storage in bytes, everything else in units.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.scheduler.event import Change
from engine.scheduler.node import NodeInfo, TaintKey
from engine.scheduler.pod import HostPort, PodInfo
from engine.scheduler.wishes import Neighbours

K = TypeVar("K", bound=Hashable)
Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

FIRST_ROWS = 8
COUNTERS_KEPT = 256
ANY_IP = "0.0.0.0"
EVERYWHERE = "*"


@dataclass(slots=True)
class Counter:
    """How many of the pods that match sit on each node; kept current as pods come and go."""

    scope: str
    matches: Callable[[PodInfo], bool]
    per_node: Ints


class Columns:
    """All nodes and what is placed on them."""

    def __init__(self) -> None:
        self.rows = FIRST_ROWS
        self.version = 0
        self.count = 0
        self.row_of: dict[str, int] = {}
        self.nodes: list[NodeInfo | None] = [None] * self.rows
        self.alive: Mask = np.zeros(self.rows, bool)
        self.cordoned: Mask = np.zeros(self.rows, bool)
        self.allocatable: dict[str, Ints] = {}
        self.requested: dict[str, Ints] = {}
        self.scored_cpu: Ints = np.zeros(self.rows, np.int64)
        self.scored_memory: Ints = np.zeros(self.rows, np.int64)
        for name in ("cpu", "memory", "pods"):
            self._resource(name)
        self.placed: dict[str, tuple[PodInfo, str]] = {}
        self._on_node: dict[str, dict[str, PodInfo]] = {}
        self.averse: dict[Neighbours, Ints] = {}
        self._ports: dict[HostPort, Ints] = {}
        self._counters: OrderedDict[tuple[str, Hashable], Counter] = OrderedDict()
        self._scopes: dict[str, dict[tuple[str, Hashable], Counter]] = {}
        self._masks: dict[tuple[str, ...], Mask] = {}
        self._domains: dict[str, Ints] = {}
        self._cached_version = -1

    # -- nodes ------------------------------------------------------------------------------

    def set_node(self, node: NodeInfo) -> Change:
        """Add or update a node; returns what changed (no flag: nothing a pod could notice)."""
        row = self.row_of.get(node.name)
        if row is None:
            row = self._free_row()
            self.row_of[node.name] = row
            self.count += 1
            self.alive[row] = True
            self._declare(row, node)
            for pod in self._on_node.get(node.name, {}).values():
                self._account(row, pod, 1)
            return Change.NODE_ADDED
        old = self.nodes[row]
        assert old is not None
        change = node.difference(old)
        if change:
            self._declare(row, node)
        return change

    def remove_node(self, name: str) -> None:
        """Forget a node; its pods are remembered in case it comes back before they go."""
        row = self.row_of.pop(name, None)
        if row is None:
            return
        for pod in self._on_node.get(name, {}).values():
            self._account(row, pod, -1)
        self.nodes[row] = None
        self.alive[row] = False
        self.cordoned[row] = False
        for column in self.allocatable.values():
            column[row] = 0
        self.count -= 1
        self.version += 1

    def _declare(self, row: int, node: NodeInfo) -> None:
        self.nodes[row] = node
        self.cordoned[row] = node.cordoned
        for name in node.allocatable.keys() | self.allocatable.keys():
            self._resource(name)[0][row] = node.allocatable.get(name, 0)
        self.version += 1

    def _free_row(self) -> int:
        if self.count == self.rows:
            self._grow()
        return int(np.argmin(self.alive))

    def _grow(self) -> None:
        extra = self.rows
        self.rows += extra
        self.nodes.extend([None] * extra)
        self.alive = np.pad(self.alive, (0, extra))
        self.cordoned = np.pad(self.cordoned, (0, extra))
        self.scored_cpu = np.pad(self.scored_cpu, (0, extra))
        self.scored_memory = np.pad(self.scored_memory, (0, extra))
        for columns in (self.allocatable, self.requested):
            for name, column in columns.items():
                columns[name] = np.pad(column, (0, extra))
        for port, column in self._ports.items():
            self._ports[port] = np.pad(column, (0, extra))
        for term, column in self.averse.items():
            self.averse[term] = np.pad(column, (0, extra))
        for counter in self._counters.values():
            counter.per_node = np.pad(counter.per_node, (0, extra))
        self.version += 1

    def _resource(self, name: str) -> tuple[Ints, Ints]:
        if name not in self.allocatable:
            self.allocatable[name] = np.zeros(self.rows, np.int64)
            self.requested[name] = np.zeros(self.rows, np.int64)
        return self.allocatable[name], self.requested[name]

    # -- pods -------------------------------------------------------------------------------

    def place(self, pod: PodInfo, node: str) -> None:
        """Count a pod on a node. A pod placed before is first taken from where it was."""
        self.displace(pod.uid)
        self.placed[pod.uid] = (pod, node)
        self._on_node.setdefault(node, {})[pod.uid] = pod
        row = self.row_of.get(node)
        if row is not None:
            self._account(row, pod, 1)

    def displace(self, uid: str) -> tuple[PodInfo, str] | None:
        """Take a pod off its node; returns it and the node's name, None if it was not placed."""
        entry = self.placed.pop(uid, None)
        if entry is None:
            return None
        pod, node = entry
        on_node = self._on_node[node]
        del on_node[uid]
        if not on_node:
            del self._on_node[node]
        row = self.row_of.get(node)
        if row is not None:
            self._account(row, pod, -1)
        return entry

    def _account(self, row: int, pod: PodInfo, sign: int) -> None:
        for name, amount in pod.requests.items():
            self._resource(name)[1][row] += sign * amount
        self.requested["pods"][row] += sign
        self.scored_cpu[row] += sign * pod.scored_cpu
        self.scored_memory[row] += sign * pod.scored_memory
        for port in pod.host_ports:
            self._tally(self._ports, port, row, sign)
        for term in pod.company.far:
            self._tally(self.averse, term, row, sign)
        for scope in (pod.namespace, pod.owner, EVERYWHERE):
            for counter in self._scopes.get(scope, {}).values():
                if counter.matches(pod) and not pod.ending:
                    counter.per_node[row] += sign

    def _tally(self, columns: dict[K, Ints], key: K, row: int, sign: int) -> None:
        """Count in a column that exists only while it counts something."""
        column = columns.get(key)
        if column is None:
            column = columns[key] = np.zeros(self.rows, np.int64)
        column[row] += sign
        if sign < 0 and not column.any():
            del columns[key]

    def ports_taken(self, port: HostPort) -> Mask:
        """Nodes where a pod holds a host port that excludes this one (0.0.0.0 is every address)."""
        taken: Mask = np.zeros(self.rows, bool)
        for held, column in self._ports.items():
            same = held.protocol == port.protocol and held.port == port.port
            if same and (held.ip == port.ip or ANY_IP in (held.ip, port.ip)):
                taken |= column > 0
        return taken

    def count_pods(self, scope: str, key: Hashable, matches: Callable[[PodInfo], bool]) -> Ints:
        """Pods per node that match, among those whose namespace or owner uid is `scope` (or
        EVERYWHERE). Pods that are ending are not counted: they will not be there.

        `key` names the predicate: the same scope and key must always mean the same predicate.
        """
        name = (scope, key)
        counter = self._counters.get(name)
        if counter is None:
            counter = Counter(scope, matches, np.zeros(self.rows, np.int64))
            for pod, node in self.placed.values():
                row = self.row_of.get(node)
                within = scope in (pod.namespace, pod.owner, EVERYWHERE) and not pod.ending
                if row is not None and within and matches(pod):
                    counter.per_node[row] += 1
            self._counters[name] = counter
            self._scopes.setdefault(scope, {})[name] = counter
            if len(self._counters) > COUNTERS_KEPT:
                old_name, old = self._counters.popitem(last=False)
                del self._scopes[old.scope][old_name]
                if not self._scopes[old.scope]:
                    del self._scopes[old.scope]
        self._counters.move_to_end(name)
        return counter.per_node

    def per_domain(self, domains: Ints, pods: Ints, counted: Mask) -> Ints:
        """Pods per domain, over the counted nodes; look it up with `domains` of a node >= 0."""
        size = int(domains.max(initial=-1)) + 1
        sums = np.bincount(domains[counted], weights=pods[counted], minlength=max(size, 1))
        return sums.astype(np.int64)

    # -- what nodes declare, cached until a declaration changes --------------------------------

    def _drop_stale(self) -> None:
        if self._cached_version != self.version:
            self._masks.clear()
            self._domains.clear()
            self._cached_version = self.version

    def where(self, key: tuple[str, ...], holds: Callable[[NodeInfo], bool]) -> Mask:
        """Nodes for which a predicate over their declarations holds; `key` names the predicate."""
        self._drop_stale()
        mask = self._masks.get(key)
        if mask is None:
            mask = np.fromiter((node is not None and holds(node) for node in self.nodes), np.bool_)
            self._masks[key] = mask
        return mask

    def domains(self, label: str) -> Ints:
        """The domain of each node under a topology key, as a small number; -1 without the label."""
        self._drop_stale()
        column = self._domains.get(label)
        if column is None:
            numbers: dict[str, int] = {}
            column = np.full(self.rows, -1, np.int64)
            for row, node in enumerate(self.nodes):
                value = None if node is None else node.labels.get(label)
                if value is not None:
                    column[row] = numbers.setdefault(value, len(numbers))
            self._domains[label] = column
        return column

    def is_unique(self, label: str) -> bool:
        """Whether no two nodes share a domain, as with the host name: then a domain is a node."""
        domains = self.domains(label)
        return int(domains.max(initial=-1)) + 1 == int(np.count_nonzero(domains >= 0))

    def taints(self) -> dict[TaintKey, Mask]:
        """Every distinct taint of the cluster and the nodes that carry it."""
        distinct = {taint for node in self.nodes if node is not None for taint in node.taints}
        return {
            taint: self.where(("taint", *taint), partial(_carries, taint))
            for taint in sorted(distinct)
        }


def _carries(taint: TaintKey, node: NodeInfo) -> bool:
    return taint in node.taints
