"""What the dashboard knows of a cluster: objects from informers, numbers from the stats stream.

Changes are applied the moment they arrive and only noted; whoever draws takes the notes when it
wants (`take`), a few times a second at most. A cluster without our engine has no stats and no
images: those parts are then `missing`, and everything else works.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import islice

import msgspec

from engine.client.client import Client
from engine.client.errors import Unreachable
from engine.client.informer import Informer
from engine.types import podstatus, quantity, registry
from engine.types.clock import Clock
from engine.types.core import Event, Pod
from engine.types.meta import Object, controller_of
from engine.types.stats import Tick
from engine.types.status import StatusError

from .series import HISTORY, Book

SLICE = 400
"""Containers whose numbers are taken in one go."""
_CALM = ("Running", "Completed", "Succeeded")
"""Words of status that need nobody's attention."""

CORE = ("nodes", "pods", "namespaces", "deployments", "replicasets", "jobs", "events", "images")
"""Kinds watched from the start; others when a view first asks for them."""

_LOST = (Unreachable, StatusError, msgspec.DecodeError)


@dataclass
class Changes:
    """What has changed since it was asked last."""

    objects: dict[str, set[str]] = field(default_factory=dict)
    """Keys of objects that came, changed or went, by plural."""
    stats: bool = False
    """A tick came."""
    connection: bool = False
    """The state of the connection changed."""

    def __bool__(self) -> bool:
        return bool(self.objects) or self.stats or self.connection


class Cluster:
    """The state of one cluster, kept true by `run`."""

    def __init__(self, client: Client, *, name: str, clock: Clock = time.time) -> None:
        self.client = client
        self.name = name
        self.clock = clock
        self.book = Book()
        self.missing: set[str] = set()
        """Kinds (and "stats") that this cluster does not serve."""
        self.on_change: Callable[[], None] = lambda: None
        """Called at the first change after a `take`."""
        self.followers: list[Callable[[str, str, Object | None], None]] = []
        """Called at every change at once: plural, key, and the object unless it is gone."""
        self._informers: dict[str, Informer[Object]] = {}
        self._changes = Changes()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._summaries: dict[str, tuple[Pod, podstatus.PodSummary]] = {}
        self._asked: dict[str, tuple[Pod, float, int]] = {}
        self._troubled: dict[str, None] = {}
        self._state = "connecting"
        self._running = False

    # -- life --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the cluster until cancelled; lost connections are made again."""
        self._running = True
        try:
            for kind in CORE:
                self.watch(kind)
            await self._follow_stats()
            await asyncio.Event().wait()
        finally:
            self._running = False
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            self._tasks.clear()

    def watch(self, kind: str) -> None:
        """Begin to follow a kind, by its plural."""
        if kind in self._informers:
            return
        resource = registry.find(kind)
        if resource is None:
            raise KeyError(f"no kind is called {kind!r}")
        informer: Informer[Object] = Informer(self.client, resource.cls)
        self._informers[kind] = informer
        informer.add_handler(lambda old, new: self._object_changed(kind, old, new))
        if kind == "pods":
            informer.add_index("node", lambda pod: (pod.spec.node_name,))  # type: ignore[attr-defined]
        if kind in ("pods", "replicasets"):
            informer.add_index("owner", _owner_uid)
        if self._running:
            self._tasks[kind] = asyncio.create_task(self._follow(kind, informer))

    async def _follow(self, kind: str, informer: Informer[Object]) -> None:
        resource = registry.find(kind)
        if resource is not None and resource.group == "podarium.io":
            await self._probe(kind, resource.root)
            if kind in self.missing:
                return
        synced = asyncio.create_task(self._note_sync(kind, informer))
        try:
            await informer.run()
        finally:
            synced.cancel()

    async def _probe(self, kind: str, path: str) -> None:
        """Find out whether the API knows a group, once it answers at all."""
        while True:
            try:
                await self.client.raw("GET", path)
                return
            except _LOST as error:
                if isinstance(error, StatusError) and error.code == 404:
                    self.missing.add(kind)
                    self._note(connection=True)
                    return
                await asyncio.sleep(0.5)

    async def _note_sync(self, kind: str, informer: Informer[Object]) -> None:
        await informer.synced.wait()
        self._changes.objects.setdefault(kind, set())
        self._note(connection=True)

    async def _follow_stats(self) -> None:
        delay = 0.2
        decoder = msgspec.json.Decoder(Tick)
        while True:
            try:
                query = {"history": str(min(HISTORY, 300))}
                async for line in self.client.stream_lines("/podarium/v1/stats", query):
                    if line.strip():
                        await self._tick(decoder.decode(line))
                        delay = 0.2
            except _LOST as error:
                if isinstance(error, StatusError) and error.code == 404:
                    self.missing.add("stats")
                    self._note(connection=True)
                    return
            self._note(connection=True)
            await asyncio.sleep(delay)
            delay = min(5.0, delay * 2)

    async def _tick(self, tick: Tick) -> None:
        """Take a second's numbers, in slices: a key must not wait for ten thousand containers."""
        if tick.t <= self.book.time:  # history we have seen before the connection was lost
            return
        self.book.begin(tick.t, tick.nodes)
        items = iter(tick.containers.items())
        while part := list(islice(items, SLICE)):
            self.book.take(part)
            if len(part) == SLICE:
                await asyncio.sleep(0)
        self._note(stats=True)

    def _pod_changed(self, key: str, pod: Object | None) -> None:
        """Keep the small sums that are asked for all the time."""
        if not isinstance(pod, Pod):
            for known in (self._summaries, self._asked, self._troubled):
                known.pop(key, None)
            return
        status = self.summary(pod).status
        if status in _CALM:
            self._troubled.pop(key, None)
        else:
            self._troubled[key] = None

    def _object_changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        meta = (new or old).metadata  # type: ignore[union-attr]
        key = f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name
        if kind == "pods":
            self._pod_changed(key, new)
        for follow in self.followers:
            follow(kind, key, new)
        first = not self._changes
        self._changes.objects.setdefault(kind, set()).add(key)
        if first:
            self.on_change()

    def _note(self, *, stats: bool = False, connection: bool = False) -> None:
        first = not self._changes
        self._changes.stats |= stats
        self._changes.connection |= connection
        if first:
            self.on_change()

    def take(self) -> Changes:
        """The changes since the last call."""
        changes, self._changes = self._changes, Changes()
        return changes

    # -- the connection ----------------------------------------------------------------------

    @property
    def state(self) -> str:
        """connecting (never synced), live, or stale (the connection is lost, the data are old)."""
        known = [informer for informer in self._informers.values() if informer.synced.is_set()]
        if not known:
            return "connecting"
        return "live" if any(informer.state == "live" for informer in known) else "stale"

    def problem(self, kind: str) -> str:
        """Why a kind cannot be followed, in the words of the API; empty while it can."""
        informer = self._informers.get(kind)
        if informer is None or informer.state == "live" or informer.error is None:
            return ""
        return str(informer.error)

    def state_changed(self) -> bool:
        """Whether `state` differs from the last time this was asked."""
        before, self._state = self._state, self.state
        return before != self._state

    def loading(self, kind: str) -> bool:
        """Whether a kind's first list is still on its way."""
        informer = self._informers.get(kind)
        return kind not in self.missing and (informer is None or not informer.synced.is_set())

    @property
    def synced(self) -> bool:
        """Whether the core kinds are all known."""
        return not any(self.loading(kind) for kind in CORE)

    # -- reading -----------------------------------------------------------------------------

    def now(self) -> float:
        """Unix time."""
        return self.clock()

    def watched(self, kind: str) -> bool:
        """Whether it is followed at all."""
        return kind in self._informers

    def objects(self, kind: str) -> Mapping[str, Object]:
        """Objects of a kind by key; empty while it is not followed."""
        informer = self._informers.get(kind)
        return informer.objects if informer is not None else {}

    def get(self, kind: str, key: str) -> Object | None:
        """One object, None when it is not there."""
        return self.objects(kind).get(key)

    def pods(self) -> Mapping[str, Pod]:
        """All pods."""
        return self.objects("pods")  # type: ignore[return-value]

    def summary(self, pod: Pod) -> podstatus.PodSummary:
        """A pod's status as kubectl words it; computed once per version of the pod."""
        key = f"{pod.metadata.namespace}/{pod.metadata.name}"
        known = self._summaries.get(key)
        if known is not None and known[0] is pod:
            return known[1]
        summary = podstatus.pod_summary(pod)
        self._summaries[key] = (pod, summary)
        return summary

    def pods_on(self, node: str) -> list[Pod]:
        """Pods bound to a node."""
        return self._indexed("pods", "node", node)  # type: ignore[return-value]

    def pods_of(self, owner: Object) -> list[Pod]:
        """Pods that an object manages, through its replica sets too."""
        uid = owner.metadata.uid
        found = self._indexed("pods", "owner", uid)
        for between in self._indexed("replicasets", "owner", uid):
            found = found + self._indexed("pods", "owner", between.metadata.uid)
        return found  # type: ignore[return-value]

    def owned(self, kind: str, owner: Object) -> list[Object]:
        """Pods or replica sets that an object controls itself."""
        return self._indexed(kind, "owner", owner.metadata.uid)

    def _indexed(self, kind: str, index: str, value: str) -> list[Object]:
        informer = self._informers.get(kind)
        return informer.by_index(index, value) if informer is not None and value else []

    def troubled(self) -> list[Pod]:
        """Pods that are neither running nor done, in the order they came into that state."""
        pods = self.pods()
        return [pods[key] for key in self._troubled if key in pods]

    def requests(self, pod: Pod) -> tuple[float, int]:
        """CPU (cores) and memory (bytes) that a pod asks for; computed once per version of it."""
        key = f"{pod.metadata.namespace}/{pod.metadata.name}"
        known = self._asked.get(key)
        if known is None or known[0] is not pod:
            known = self._asked[key] = (pod, *requested(pod))
        return known[1], known[2]

    def workload(self, pod: Pod) -> tuple[str, str]:
        """Kind and name of what a pod belongs to for people: its Deployment, Job or itself."""
        ref = controller_of(pod.metadata)
        if ref is None:
            return "Pod", pod.metadata.name
        if ref.kind == "ReplicaSet":
            key = f"{pod.metadata.namespace}/{ref.name}"
            owner = self.get("replicasets", key)
            above = controller_of(owner.metadata) if owner is not None else None
            if above is not None:
                return above.kind, above.name
        return ref.kind, ref.name

    def events_about(self, obj: Object) -> list[Event]:
        """Events about an object, the newest first."""
        meta = obj.metadata
        found: list[Event] = []
        for event in self.objects("events").values():
            assert isinstance(event, Event)
            about = event.involved_object
            same = about.uid == meta.uid if about.uid and meta.uid else about.kind == obj.kind
            if same and about.name == meta.name and about.namespace == meta.namespace:
                found.append(event)
        return newest_first(found)

    def recent_events(self, count: int) -> list[Event]:
        """The newest events of the cluster."""
        events: Iterable[Event] = self.objects("events").values()  # type: ignore[assignment]
        return nlargest(count, events, key=_recency)


def _owner_uid(obj: Object) -> tuple[str, ...]:
    """For an index: who manages an object."""
    ref = controller_of(obj.metadata)
    return (ref.uid,) if ref is not None else ()


def requested(pod: Pod) -> tuple[float, int]:
    """A pod's CPU requests in cores and memory requests in bytes."""
    cpu, memory = 0.0, 0
    for container in pod.spec.containers:
        asked = container.resources.requests
        cpu += quantity.cores(asked.get("cpu", 0))
        memory += quantity.bytes_(asked.get("memory", 0))
    return cpu, memory


def event_time(event: Event) -> str:
    """When an event came last, RFC 3339; empty when it does not say."""
    series = event.series.last_observed_time if event.series else None
    return (
        series
        or event.last_timestamp
        or event.event_time
        or event.metadata.creation_timestamp
        or ""
    )


def newest_first(events: Iterable[Event]) -> list[Event]:
    """Events ordered by when they came last."""
    return sorted(events, key=_recency, reverse=True)


def _recency(event: Event) -> tuple[str, int]:
    return event_time(event)[:19], int(event.metadata.resource_version or 0)
