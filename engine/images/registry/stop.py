"""How work in threads is asked to end: a flag, and whatever wakes those who do not look at it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from engine.images.registry.errors import Cancelled


class Stop:
    """Set once, by cancel(); seen by check(), by the event, and by whoever registered."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._lock = threading.Lock()
        self._wakers: set[Callable[[], None]] = set()

    def cancel(self) -> None:
        with self._lock:
            self.event.set()
            wakers = list(self._wakers)
        for wake in wakers:
            wake()

    def check(self) -> None:
        """Raise Cancelled when the end was asked for."""
        if self.event.is_set():
            raise Cancelled

    def register(self, wake: Callable[[], None]) -> None:
        """Let cancel() call this; at once when it was called already."""
        with self._lock:
            self._wakers.add(wake)
            late = self.event.is_set()
        if late:
            wake()

    def forget(self, wake: Callable[[], None]) -> None:
        with self._lock:
            self._wakers.discard(wake)

    @contextmanager
    def child(self) -> Iterator["Stop"]:
        """A part that ends with the whole, and can be ended without it."""
        part = Stop()
        self.register(part.cancel)
        try:
            yield part
        finally:
            self.forget(part.cancel)
