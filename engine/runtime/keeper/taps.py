"""Copies of a container's output for those who are attached to it.

Nothing piles up, and nothing is lost to a reader that reads: a stream is not read further while
one of its taps is full, which is the container's own pipe filling up. A reader that is gone takes
its tap away. One that has taken nothing for ten seconds is not waited for any longer: the container
goes on, and the reader is told how much it has missed when it reads again.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.runtime.keeper.loop import Loop


PATIENCE_S = 10.0


class Tap:
    """A pipe to one reader. `on_room` is called when it is no longer waited for, or gone.

    missed  bytes that were left out for a reader that did not read, and of which it is not told yet
    """

    def __init__(
        self,
        fd: int,
        loop: Loop,
        on_room: Callable[[Tap], None],
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`fd` becomes the tap's own."""
        self.gone = False
        self.missed = 0
        self._patience_s = patience_s
        self._taken = 0
        self._judged = True
        self._stuck = False
        self._fd = fd
        self._loop = loop
        self._on_room = on_room
        self._rest = b""
        self._ending = False
        os.set_blocking(fd, False)
        loop.add(fd, self._ready)

    @property
    def full(self) -> bool:
        """Whether its reader has to be waited for."""
        return bool(self._rest) and not self._stuck

    def kept(self) -> tuple[int, bytes, int]:
        """Its descriptor, which stays ours, what waits to be read, and what was missed."""
        return self._fd, self._rest, self.missed

    def write(self, data: bytes) -> None:
        """What does not fit now waits."""
        if self.gone:
            return
        if self._stuck:
            self.missed += len(data)
        else:
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
        if not self._rest and not self.gone:
            self._on_room(self)

    def _flush(self) -> None:
        try:
            while self._rest:
                written = os.write(self._fd, self._rest)
                self._taken += written
                self._rest = self._rest[written:]
                if not self._rest and self.missed:
                    self._rest, self.missed, self._stuck = _notice(self.missed), 0, False
        except BlockingIOError:
            self._loop.add(self._fd, self._ready, writable=True)
            if self._judged:
                self._watch()
        except OSError:
            self._close()
        else:
            self._stuck = False
            self._loop.add(self._fd, self._ready)
            if self._ending:
                self._close()

    def _watch(self) -> None:
        """See later whether anything was taken."""
        self._judged = False
        before = self._taken

        def judge() -> None:
            self._judged = True
            if self._taken > before and self._rest:
                self._watch()
            elif self._rest and not self.gone:
                self._stuck = True
                self._on_room(self)

        self._loop.after(self._patience_s, judge)

    def _close(self) -> None:
        if not self.gone:
            self.gone = True
            self._rest = b""
            self._loop.remove(self._fd)
            os.close(self._fd)
            self._on_room(self)


def _notice(missed: int) -> bytes:
    return b"\r\n[podarium: %d bytes left out, which nobody was reading]\r\n" % missed
