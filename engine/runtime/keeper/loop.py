"""One thread that waits for every descriptor at once: epoll(7)."""

from __future__ import annotations

import select
import sys
import time
from operator import itemgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Loop:
    """Calls back when a descriptor is ready. A callback must never block."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._postponed: list[tuple[float, Callable[[], None]]] = []
        self.running = True

    def add(self, fd: int, callback: Callable[[], None], *, writable: bool = False) -> None:
        """Call back while `fd` is readable, or at its end; also while writable, when asked."""
        events = select.EPOLLIN | (select.EPOLLOUT if writable else 0)
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
        self._postponed.append((time.monotonic() + after, callback))
        self._postponed.sort(key=itemgetter(0))

    def run(self) -> None:
        """Until `running` is false."""
        while self.running:
            ready = self._epoll.poll(self._patience())
            for fd, _ in ready:
                # One that an earlier callback of the same round removed is not there any more.
                callback = self._callbacks.get(fd)
                if callback is not None and not _called(callback) and fd in self._callbacks:
                    self.remove(fd)
            if not ready and self._patience() == 0:
                _called(self._postponed.pop(0)[1])

    def _patience(self) -> float | None:
        """Seconds until the first that is postponed is due; None without any."""
        if not self._postponed:
            return None
        return max(0.0, self._postponed[0][0] - time.monotonic())


def _called(callback: Callable[[], None]) -> bool:
    """A mistake of ours costs one descriptor, not every container of the node."""
    try:
        callback()
    except Exception:  # noqa: BLE001
        sys.excepthook(*sys.exc_info())
        return False
    return True
