"""Copies of an output for readers that read, that read late, and that do not read at all."""

from __future__ import annotations

import os
import select
from collections.abc import Callable

import pytest

from engine.runtime.keeper.loop import Loop
from engine.runtime.keeper.taps import Tap

BLOCK = bytes(range(256)) * 16
NOTICE = b"\r\n[podarium: %d bytes left out, which nobody was reading]\r\n"


class Reader:
    """A pipe, a tap into it, and how often the tap has said that it has room."""

    def __init__(self, loop: Loop, patience_s: float) -> None:
        self.loop = loop
        self.fd, writer = os.pipe2(os.O_NONBLOCK)
        self.rooms = 0
        self.tap = Tap(writer, loop, self._room, patience_s)

    def _room(self, tap: Tap) -> None:
        self.rooms += 1

    def fill(self) -> bytes:
        """Write until it is full; what was written."""
        written = b""
        while not self.tap.full:
            self.tap.write(BLOCK)
            written += BLOCK
        return written

    def read(self) -> bytes:
        """What is there now."""
        try:
            return os.read(self.fd, 1 << 20)
        except BlockingIOError:
            return b""

    def run_for(self, seconds: float) -> None:
        over: list[bool] = []
        self.loop.after(seconds, lambda: over.append(True))
        self.run_until(lambda: bool(over))

    def run_until(self, holds: Callable[[], bool]) -> None:
        def look() -> None:
            self.loop.running = not holds()
            if self.loop.running:
                self.loop.after(0.001, look)

        self.loop.running = True
        self.loop.after(0, look)
        self.loop.run()


@pytest.fixture
def loop() -> Loop:
    return Loop()


def test_a_late_reader_gets_everything(loop: Loop) -> None:
    reader = Reader(loop, patience_s=1000)
    written, got = reader.fill(), b""
    assert reader.rooms == 0
    while got != written:
        reader.run_until(lambda: bool(select.select([reader.fd], [], [], 0)[0]))
        got += reader.read()
    reader.run_until(lambda: reader.rooms > 0)
    assert not reader.tap.full
    assert reader.tap.missed == 0


def test_one_that_does_not_read_is_not_waited_for_and_is_told(loop: Loop) -> None:
    reader = Reader(loop, patience_s=0.01)
    written = reader.fill()
    reader.run_until(lambda: not reader.tap.full)
    assert reader.rooms == 1
    for _ in range(1000):
        reader.tap.write(BLOCK)
    assert not reader.tap.full
    assert reader.tap.missed == 1000 * len(BLOCK)
    got = b""
    wanted = written + NOTICE % (1000 * len(BLOCK))
    while len(got) < len(wanted):
        reader.run_until(lambda: bool(select.select([reader.fd], [], [], 0)[0]))
        got += reader.read()
    assert got == wanted
    reader.tap.write(b"and on\n")
    assert reader.read() == b"and on\n"


def test_one_that_reads_slowly_is_waited_for(loop: Loop) -> None:
    reader = Reader(loop, patience_s=0.02)
    written, got = reader.fill(), b""
    for _ in range(3):
        # Longer than its patience, but something was taken each time.
        got += os.read(reader.fd, 8192)
        reader.run_for(0.03)
    while got != written:
        assert reader.tap.missed == 0
        got += reader.read()
        reader.run_until(lambda: True)
    assert reader.tap.missed == 0


def test_the_end_comes_after_everything(loop: Loop) -> None:
    reader = Reader(loop, patience_s=1000)
    written, got = reader.fill(), b""
    reader.tap.end()
    assert not reader.tap.gone
    while not reader.tap.gone:
        got += reader.read()
        reader.run_until(lambda: True)
    assert got + os.read(reader.fd, 1 << 20) == written
    assert os.read(reader.fd, 1) == b""


def test_a_reader_that_goes_takes_it_away(loop: Loop) -> None:
    reader = Reader(loop, patience_s=1000)
    reader.fill()
    os.close(reader.fd)
    reader.run_until(lambda: reader.tap.gone)
    assert reader.rooms == 1
    reader.tap.write(b"nobody")
    reader.tap.end()
