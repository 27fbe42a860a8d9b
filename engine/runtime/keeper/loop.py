"""One thread that waits for every descriptor at once: epoll(7)."""

from __future__ import annotations

import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Loop:
    """Calls back when a descriptor is ready. A callback must never block."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}
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

    def run(self) -> None:
        """Until `running` is false."""
        while self.running:
            for fd, _ in self._epoll.poll():
                # One that an earlier callback of the same round removed is not there any more.
                callback = self._callbacks.get(fd)
                if callback is not None:
                    self._call(fd, callback)

    def _call(self, fd: int, callback: Callable[[], None]) -> None:
        """A mistake of ours costs one descriptor, not every container of the node."""
        try:
            callback()
        except Exception:  # noqa: BLE001
            sys.excepthook(*sys.exc_info())
            if fd in self._callbacks:
                self.remove(fd)
