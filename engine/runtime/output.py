"""What an exec says, read as it comes and kept up to a limit."""

import asyncio
import os

_CHUNK = 64 * 1024


class Output:
    """A pipe: `writer` is for the process, the other end is read by the running event loop."""

    def __init__(self, limit: int) -> None:
        """`limit` in bytes: what comes after is read, to let the process go on, and dropped."""
        self._limit = limit
        self._data = bytearray()
        self._loop = asyncio.get_running_loop()
        self._reader, self.writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._reader, False)

    def __enter__(self) -> "Output":
        self._loop.add_reader(self._reader, self._read)
        return self

    def __exit__(self, *_: object) -> None:
        self._close_writer()
        self._stop()

    def begin(self) -> None:
        """The process has its end now, and ours goes, so that the stream can end."""
        self._close_writer()

    def finish(self) -> bytes:
        """Everything said so far; something left in the background may still hold the pipe."""
        while self._reader >= 0 and self._read():
            pass
        return bytes(self._data)

    def _read(self) -> bool:
        """Whether there was anything."""
        try:
            data = os.read(self._reader, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._stop()
            return False
        self._data += data[: self._limit - len(self._data)]
        return True

    def _stop(self) -> None:
        if self._reader >= 0:
            self._loop.remove_reader(self._reader)
            os.close(self._reader)
            self._reader = -1

    def _close_writer(self) -> None:
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1
