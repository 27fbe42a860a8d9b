"""Copies of a container's output for those who are attached to it.

Nothing is lost and nothing piles up: a stream is not read further while one of its taps is full,
which is the container's own pipe filling up. A reader that is gone takes its tap away.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.runtime.keeper.loop import Loop


class Tap:
    """A pipe to one reader. `on_room` is called when it is no longer full, or gone."""

    def __init__(self, fd: int, loop: Loop, on_room: Callable[[Tap], None]) -> None:
        """`fd` becomes the tap's own."""
        self.gone = False
        self._fd = fd
        self._loop = loop
        self._on_room = on_room
        self._rest = b""
        self._ending = False
        os.set_blocking(fd, False)
        loop.add(fd, self._ready)

    @property
    def full(self) -> bool:
        return bool(self._rest)

    def write(self, data: bytes) -> None:
        """What does not fit now waits."""
        if not self.gone:
            self._rest += data
            self._flush()

    def end(self) -> None:
        """Let the reader see the end, once it has read everything."""
        self._ending = True
        if not self._rest:
            self._close()

    def _ready(self) -> None:
        # Without anything to write only an error is reported: the reader is gone.
        if not self._rest:
            self._close()
            return
        self._flush()
        if not self._rest:
            self._on_room(self)

    def _flush(self) -> None:
        try:
            while self._rest:
                self._rest = self._rest[os.write(self._fd, self._rest) :]
        except BlockingIOError:
            self._loop.add(self._fd, self._ready, writable=True)
        except OSError:
            self._close()
        else:
            self._loop.add(self._fd, self._ready)
            if self._ending:
                self._close()

    def _close(self) -> None:
        if not self.gone:
            self.gone = True
            self._rest = b""
            self._loop.remove(self._fd)
            os.close(self._fd)
            self._on_room(self)
