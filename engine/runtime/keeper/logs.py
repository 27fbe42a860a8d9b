"""A container's output, as the lines of a log in the CRI's format.

    2026-01-02T03:04:05.678901234Z stdout F a whole line
    2026-01-02T03:04:05.678901234Z stderr P a piece of a long one, of 16 KiB

(kubernetes: design-proposals/node/kubelet-cri-logging.md.) A full disk never stops a container:
what cannot be written is dropped, whole lines at a time, and counted; the log says so where they
are missing, as soon as it can be written again.
"""

from __future__ import annotations

import errno
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from engine.runtime.keeper.taps import Tap

_LINE = 16 * 1024
_READ = 64 * 1024
_FILE = 10 * 1024 * 1024
_FILES = 3
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class Log:
    """One container's file. Beyond 10 MiB it becomes FILE.1, and that FILE.2, which is the last.

    dropped     lines that are missing and of which the log does not tell yet
    """

    def __init__(self, path: str, limit: int = _FILE) -> None:
        """The file is opened with the first line, or by begin()."""
        self.path = path
        self.dropped = 0
        self._why = ""
        self._limit = limit
        self._fd = -1
        self._size = 0

    def begin(self) -> None:
        """Make it. Raise OSError when that cannot be."""
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        self._open()

    def _open(self) -> None:
        self._fd = os.open(self.path, _FLAGS, 0o640)
        self._size = os.fstat(self._fd).st_size

    def write(self, lines: list[bytes]) -> None:
        """All of them, or none, which is counted."""
        try:
            if self._fd < 0:
                self._open()
            self._append(b"".join([*self._gap(), *lines]))
        except OSError as error:
            self.dropped += len(lines)
            self._why = error.strerror or str(error)
            return
        self.dropped = 0
        if self._size >= self._limit:
            self._rotate()

    def _append(self, data: bytes) -> None:
        written = os.write(self._fd, data)
        if written < len(data):
            # A line that was cut would be joined to whatever follows.
            os.ftruncate(self._fd, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)
        self._size += written

    def _gap(self) -> list[bytes]:
        if not self.dropped:
            return []
        text = f"podarium: {self.dropped} lines are missing here: {self._why}"
        return [b"%s stderr F %s\n" % (stamp(time.time_ns()), text.encode())]

    def _rotate(self) -> None:
        self._close()
        for number in range(_FILES - 1, 0, -1):
            older = f"{self.path}.{number}"
            newer = self.path if number == 1 else f"{self.path}.{number - 1}"
            try:
                os.rename(newer, older)
            except OSError:
                # It was not there, or it goes on growing until it can be set aside.
                continue
        try:
            self._open()
        except OSError:
            # The next line tries again.
            return

    def close(self) -> None:
        """Whatever is missing is said now, if it can be."""
        if self.dropped:
            self.write([])
        self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


class Stream:
    """One output of a container: the reading end of its pipe or terminal, `rest`, a line that has
    not ended yet, and who is attached."""

    def __init__(self, fd: int, name: bytes, log: Log) -> None:
        self.fd = fd
        self._head = b" " + name
        self._log = log
        self.rest = b""
        self._taps: set[Tap] = set()

    @property
    def full(self) -> bool:
        """Whether a reader has to be waited for."""
        return any(tap.full for tap in self._taps)

    @property
    def taps(self) -> list[Tap]:
        return list(self._taps)

    def add(self, tap: Tap) -> None:
        """Give it everything that comes from now on, and the line that has not ended yet: with the
        log up to here it is the whole."""
        self._taps.add(tap)
        if self.rest:
            tap.write(self.rest)

    def discard(self, tap: Tap) -> None:
        self._taps.discard(tap)

    def pump(self) -> int:
        """Move what is there into the log. Returns how many bytes: 0 at the stream's end, -1 when
        there is nothing now (the pipe is O_NONBLOCK)."""
        try:
            data = os.read(self.fd, _READ)
        except BlockingIOError:
            return -1
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            data = b""  # a terminal that nobody inside holds open any more
        for tap in self.taps:
            tap.write(data)
        if data:
            *ended, self.rest = (self.rest + data).split(b"\n")
            self._write(ended)
        else:
            self.end()
        return len(data)

    def end(self) -> None:
        """Log the line that will not be ended any more, as the piece it is; let readers go."""
        for tap in self.taps:
            tap.end()
        if self.rest:
            rest, self.rest = self.rest, b""
            self._log.write([self._prefix(b" P ") + rest + b"\n"])

    def _write(self, ended: list[bytes]) -> None:
        whole, partial = self._prefix(b" F "), self._prefix(b" P ")
        out = []
        for line in ended:
            while len(line) > _LINE:
                out.append(partial + line[:_LINE] + b"\n")
                line = line[_LINE:]
            out.append(whole + line + b"\n")
        while len(self.rest) >= _LINE:
            out.append(partial + self.rest[:_LINE] + b"\n")
            self.rest = self.rest[_LINE:]
        if out:
            self._log.write(out)

    def _prefix(self, tag: bytes) -> bytes:
        return stamp(time.time_ns()) + self._head + tag


_second = 0
_text = b""


def stamp(time_ns: int) -> bytes:
    """RFC 3339 in UTC, with all nine digits so that lines sort as text."""
    global _second, _text
    second, rest = divmod(time_ns, 1_000_000_000)
    if second != _second or not _text:
        _second, _text = second, time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second)).encode()
    return b"%s%09dZ" % (_text, rest)
