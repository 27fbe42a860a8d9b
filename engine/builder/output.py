"""What a container says, line by line while it is said, from its log in the CRI's format.

A record is `<time> <stdout|stderr> <F|P> <text>`: P marks a piece whose line goes on in the next
record of the same stream.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

from engine.linux.inotify import IN, inotify_add_watch, inotify_init1, read_events

_BLOCK = 64 << 10
_LINE_MAX = 64 << 10
LAST_LINES = 20


class Output:
    """Follows one log. `last` are its last lines."""

    def __init__(self, log: Path, say: Callable[[bytes], None]) -> None:
        log.touch(mode=0o600)
        self._say = say
        self._rest = b""
        self._lines: dict[bytes, bytes] = {}
        self.last: deque[bytes] = deque(maxlen=LAST_LINES)
        self._file = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
        self._notify = inotify_init1()
        inotify_add_watch(self._notify, os.fsencode(log), IN.MODIFY)
        asyncio.get_running_loop().add_reader(self._notify, self._more)

    def finish(self) -> None:
        """Read what is left, and stop following."""
        asyncio.get_running_loop().remove_reader(self._notify)
        self._more()
        for stream in [stream for stream, line in self._lines.items() if line]:
            self._line(self._lines.pop(stream))
        os.close(self._notify)
        os.close(self._file)

    def _more(self) -> None:
        read_events(self._notify)
        while block := os.read(self._file, _BLOCK):
            *records, self._rest = (self._rest + block).split(b"\n")
            for record in records:
                fields = record.split(b" ", 3)
                if len(fields) == 4:
                    self._record(*fields[1:])

    def _record(self, stream: bytes, tag: bytes, text: bytes) -> None:
        line = self._lines.pop(stream, b"") + text
        if tag != b"F" and len(line) < _LINE_MAX:
            self._lines[stream] = line
        else:
            self._line(line)

    def _line(self, line: bytes) -> None:
        self.last.append(line)
        self._say(line)
