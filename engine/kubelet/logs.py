"""Reading container logs in the CRI's format, from the end or the beginning, once or for ever.

A record is `<RFC 3339 time> <stdout|stderr> <F|P> <text>`: P marks a piece whose line goes on in
the next record of the same stream. The text is the container's: it passes unchanged, byte for byte.
Following waits on inotify(7), never on a clock, and goes over to the new file when the log is
rotated.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from io import FileIO
from pathlib import Path
from typing import Protocol

from engine.kubelet.changes import changes
from engine.linux.inotify import IN

BLOCK = 64 * 1024
_FULL = b"F"


class LogOptions(Protocol):
    """What a reader asks for; `since` is unix seconds, `tail` counts lines."""

    @property
    def follow(self) -> bool: ...
    @property
    def tail(self) -> int | None: ...
    @property
    def since(self) -> float | None: ...
    @property
    def timestamps(self) -> bool: ...
    @property
    def limit_bytes(self) -> int | None: ...


def stamp(seconds: float) -> bytes:
    """The time as the log's records carry it: UTC, nine digits; bytes compare as instants."""
    # To the microsecond: a float of today's size has no more digits.
    whole, micros = divmod(round(seconds * 1_000_000), 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)).encode() + b".%06d000Z" % micros


class Decoder:
    """Turns blocks of records, cut anywhere, into what the container wrote."""

    def __init__(self, *, since: float | None = None, timestamps: bool = False) -> None:
        self._since = b"" if since is None else stamp(since)
        self._timestamps = timestamps
        self._rest = b""
        self._inside: set[bytes] = set()

    def feed(self, block: bytes) -> bytes:
        *records, self._rest = (self._rest + block).split(b"\n")
        out: list[bytes] = []
        for record in records:
            fields = record.split(b" ", 3)
            if len(fields) != 4 or fields[0] < self._since:
                continue
            when, stream, tag, text = fields
            if self._timestamps and stream not in self._inside:
                out += (when, b" ")
            out.append(text)
            if tag == _FULL:
                out.append(b"\n")
                self._inside.discard(stream)
            else:
                self._inside.add(stream)
        return b"".join(out)


def tail_offset(fd: int, lines: int) -> tuple[int, int]:
    """Where the last `lines` whole lines of the file begin, and how many of them it has not got."""
    found = 0
    end = os.fstat(fd).st_size
    rest = b""
    while end > 0:
        begin = max(0, end - BLOCK)
        data = os.pread(fd, end - begin, begin) + rest
        # Before the first newline lies the end of a record that began in the block before.
        first = data.find(b"\n") + 1 if begin else 0
        at = begin + len(data)
        for record in reversed(data[first:].split(b"\n") if first or not begin else []):
            if _is_full(record):
                if found == lines:
                    return at + 1, 0
                found += 1
            at -= len(record) + 1
        rest = data[: first or len(data)] if begin else b""
        end = begin
    return 0, lines - found


def _is_full(record: bytes) -> bool:
    fields = record.split(b" ", 3)
    return len(fields) == 4 and fields[2] == _FULL


def last_lines(path: Path, lines: int, limit: int) -> bytes:
    """At most `limit` bytes of the log's last lines; empty when there is no log."""
    try:
        with path.open("rb") as file:
            file.seek(tail_offset(file.fileno(), lines)[0])
            return Decoder().feed(file.read())[-limit:]
    except FileNotFoundError:
        return b""


async def read(
    path: Path, options: LogOptions, ended: asyncio.Event | None = None
) -> AsyncGenerator[bytes, None]:
    """The log's text in blocks. Following stops once `ended` is set and all that was written is
    read.

    Raises FileNotFoundError when the container never wrote, or the log is gone.
    """
    left = options.limit_bytes
    async with aclosing(_texts(path, options, ended)) as texts:
        async for text in texts:
            if left is not None:
                text = text[:left]
                left -= len(text)
            if text:
                yield text
            if left == 0:
                return


async def _texts(
    path: Path, options: LogOptions, ended: asyncio.Event | None
) -> AsyncGenerator[bytes, None]:
    decoder = Decoder(since=options.since, timestamps=options.timestamps)
    follow = options.follow and ended is not None
    with _growth(path.parent if follow else None, ended) as changed:
        *older, file = _opened(path, options.tail)
        try:
            for piece in older:
                with piece:
                    while block := piece.read(BLOCK):
                        yield decoder.feed(block)
                        await asyncio.sleep(0)
            while True:
                # Asked before reading: what was written before the end is then surely read.
                over = not follow or ended is None or ended.is_set()
                while block := file.read(BLOCK):
                    yield decoder.feed(block)
                    await asyncio.sleep(0)
                if _rotated(path, file.fileno()):
                    file.close()
                    file = FileIO(path)
                elif over:
                    return
                else:
                    await changed.wait()
                    changed.clear()
        finally:
            file.close()


def _opened(path: Path, tail: int | None) -> list[FileIO]:
    """The log's files, oldest first (0.log.2, 0.log.1, 0.log), each where reading begins."""
    pieces = [FileIO(path)]
    if tail is not None:
        offset, tail = tail_offset(pieces[0].fileno(), tail)
        pieces[0].seek(offset)
    number = 1
    while tail is None or tail > 0:
        try:
            piece = FileIO(path.with_name(f"{path.name}.{number}"))
        except FileNotFoundError:
            break
        if os.path.sameopenfile(piece.fileno(), pieces[0].fileno()):
            piece.close()  # it was rotated just now
        else:
            if tail is not None:
                offset, tail = tail_offset(piece.fileno(), tail)
                piece.seek(offset)
            pieces.insert(0, piece)
        number += 1
    return pieces


def _rotated(path: Path, fd: int) -> bool:
    try:
        return path.stat().st_ino != os.fstat(fd).st_ino
    except FileNotFoundError:
        return False


@contextmanager
def _growth(folder: Path | None, ended: asyncio.Event | None) -> Iterator[asyncio.Event]:
    """An event that is set when something in the folder grows, comes or goes, and at the end."""
    if folder is None or ended is None:
        yield asyncio.Event()
        return
    with changes(IN.MODIFY | IN.CREATE | IN.MOVED_TO, folder) as changed:
        end = asyncio.create_task(ended.wait())
        end.add_done_callback(lambda _: changed.set())
        try:
            yield changed
        finally:
            end.cancel()
