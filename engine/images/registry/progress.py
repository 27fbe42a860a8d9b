"""What happens in a pull or push, as events: typed, and told as they happen, from any thread."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from engine.images.types import Digest, Platform

_EVERY_S = 0.1
_MEMORY_S = 3.0  # how far back the speed looks


class State(StrEnum):
    """Of one blob. PRESENT: the other side had it, so nothing travels."""

    WAITING = "waiting"
    ACTIVE = "active"
    DONE = "done"
    PRESENT = "present"


@dataclass(frozen=True, slots=True)
class BlobProgress:
    """`done` of `size` bytes are there, `resumed` of them from an earlier try; `rate` is in bytes a
    second; `remaining` in seconds, None while nobody can tell."""

    digest: Digest
    kind: str
    size: int
    state: State = State.WAITING
    done: int = 0
    resumed: int = 0
    rate: float = 0.0
    remaining: float | None = None


@dataclass(frozen=True, slots=True)
class Resolved:
    """The registry said what is behind the name."""

    reference: str
    digest: Digest
    platform: Platform
    blobs: tuple[BlobProgress, ...]
    allowance: str = ""  # what is left of the registry's limit, in its words


@dataclass(frozen=True, slots=True)
class Retrying:
    """Something failed and is tried again in `seconds`."""

    why: str
    seconds: float


Event = Resolved | BlobProgress | Retrying
Watch = Callable[[Event], None]


def unwatched(event: Event) -> None:
    """For those who do not look."""


class Meter:
    """One blob's progress, for the thread that moves it: counts, and tells at each turn and, in
    between, at most ten times a second."""

    def __init__(self, blob: BlobProgress, watch: Watch, now: Callable[[], float]) -> None:
        self.blob = blob
        self._watch = watch
        self._now = now
        self._told = self._at = now()
        self._since = 0

    def begin(self, done: int, resumed: int = 0) -> None:
        """So many bytes are there; so many of them were when it all began."""
        self._at, self._since = self._now(), 0
        self._tell(state=State.ACTIVE, done=done, resumed=resumed, remaining=None)

    def add(self, count: int) -> None:
        """More bytes came."""
        self._since += count
        now = self._now()
        done = self.blob.done + count
        if now - self._told < _EVERY_S:
            self.blob = replace(self.blob, done=done)
            return
        elapsed = now - self._at
        weight = min(1.0, elapsed / _MEMORY_S) if self.blob.rate else 1.0
        rate = self.blob.rate
        if elapsed > 0:
            rate += (self._since / elapsed - rate) * weight
            self._at, self._since = now, 0
        remaining = (self.blob.size - done) / rate if rate > 0 else None
        self._tell(done=done, rate=rate, remaining=remaining)

    def end(self, state: State) -> None:
        self._tell(state=state, done=self.blob.size, remaining=0.0)

    def _tell(self, **changes: object) -> None:
        self.blob = replace(self.blob, **changes)  # type: ignore[arg-type]
        self._told = self._now()
        self._watch(self.blob)
