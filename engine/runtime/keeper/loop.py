"""One thread that waits for every descriptor at once: epoll(7)."""

from __future__ import annotations

import select
import sys
import time
from operator import itemgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    _Timed = tuple[float, Callable[[], None]]


class Loop:
    """Calls back when a descriptor is ready. A callback must never block."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._postponed: list[_Timed] = []
        self._timers: list[_Timed] = []
        self.running = True

    def add(
        self,
        fd: int,
        callback: Callable[[], None],
        *,
        readable: bool = True,
        writable: bool = False,
    ) -> None:
        """Call back while `fd` is readable, unless that is not asked, and always at its end; also
        while writable, when asked."""
        events = (select.EPOLLIN if readable else 0) | (select.EPOLLOUT if writable else 0)
        if fd in self._callbacks:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def remove(self, fd: int) -> None:
        """To be called before `fd` is closed."""
        del self._callbacks[fd]
        self._epoll.unregister(fd)

    def when_idle(self, callback: Callable[[], None], after: float = 0.0) -> None:
        """Call back once, `after` so many seconds, at a moment when no descriptor is ready."""
        _insert(self._postponed, after, callback)

    def after(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back once that time has passed, however busy we are."""
        _insert(self._timers, seconds, callback)

    def run(self) -> None:
        """Until `running` is false."""
        while self.running:
            ready = self._epoll.poll(self._patience())
            for fd, _ in ready:
                # One that an earlier callback of the same round removed is not there any more.
                callback = self._callbacks.get(fd)
                if callback is not None and not _called(callback) and fd in self._callbacks:
                    self.remove(fd)
            while _wait(self._timers) == 0:
                _called(self._timers.pop(0)[1])
            if not ready and _wait(self._postponed) == 0:
                _called(self._postponed.pop(0)[1])

    def _patience(self) -> float | None:
        """Seconds until anything is due; None without any."""
        waits = [wait for wait in (_wait(self._postponed), _wait(self._timers)) if wait is not None]
        return min(waits, default=None)


def _insert(timed: list[_Timed], after: float, callback: Callable[[], None]) -> None:
    timed.append((time.monotonic() + after, callback))
    timed.sort(key=itemgetter(0))


def _wait(timed: list[_Timed]) -> float | None:
    return max(0.0, timed[0][0] - time.monotonic()) if timed else None


def _called(callback: Callable[[], None]) -> bool:
    """A mistake of ours costs one descriptor, not every container of the node."""
    try:
        callback()
    except Exception:  # noqa: BLE001
        sys.excepthook(*sys.exc_info())
        return False
    return True
