"""Pipes and terminals on the event loop: awaited one block at a time, so that nothing piles up."""

import asyncio
import errno
import os

_CHUNK = 64 * 1024


class Reader:
    """The reading end. One task at a time may read."""

    def __init__(self, fd: int) -> None:
        """`fd` becomes the reader's own."""
        os.set_blocking(fd, False)
        self._fd = fd
        self._over = False
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Future[None] | None = None

    async def read(self) -> bytes:
        """Some bytes; b"" at the end."""
        while self._fd >= 0:
            try:
                data = os.read(self._fd, _CHUNK)
            except BlockingIOError:
                if self._over:
                    break
                await self._readable()
                continue
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                break  # a terminal that nobody holds open at its other end
            if not data:
                break
            return data
        self.close()
        return b""

    def finish(self) -> None:
        """What is there now is all, whoever may still hold the other end."""
        self._over = True
        self._wake()

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        self._wake()

    async def _readable(self) -> None:
        self._waiting = self._loop.create_future()
        self._loop.add_reader(self._fd, self._wake)
        try:
            await self._waiting
        finally:
            if self._fd >= 0:
                self._loop.remove_reader(self._fd)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class Writer:
    """The writing end. One task at a time may write."""

    def __init__(self, fd: int) -> None:
        """`fd` becomes the writer's own."""
        os.set_blocking(fd, False)
        self.fd = fd
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Future[None] | None = None

    async def write(self, data: bytes) -> None:
        """Return when all is written, or nobody reads it any more."""
        rest = memoryview(data)
        while rest and self.fd >= 0:
            try:
                rest = rest[os.write(self.fd, rest) :]
            except BlockingIOError:
                await self._writable()
            except OSError as error:
                if error.errno not in (errno.EPIPE, errno.EIO):
                    raise
                self.close()

    def close(self) -> None:
        if self.fd >= 0:
            self._loop.remove_writer(self.fd)
            os.close(self.fd)
            self.fd = -1
        self._wake()

    async def _writable(self) -> None:
        self._waiting = self._loop.create_future()
        self._loop.add_writer(self.fd, self._wake)
        try:
            await self._waiting
        finally:
            if self.fd >= 0:
                self._loop.remove_writer(self.fd)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
