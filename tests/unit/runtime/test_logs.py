"""A container's output as CRI log lines."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.linux.flags import MNT
from engine.linux.mount import mount, umount2
from engine.runtime.keeper.logs import Log, Stream, stamp

LINE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) ([FP]) (.*)\n")
KIB16 = 16 * 1024


class Pipe:
    """A container's standard output, and the log it goes to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.log = Log(str(path))
        self.log.begin()
        self.stream = Stream(self.reader, b"stdout", self.log)

    def say(self, data: bytes) -> None:
        while data:
            written = os.write(self.writer, data[:32768])
            data = data[written:]
            self.stream.pump()

    def lines(self) -> list[tuple[bytes, bytes]]:
        raw = self.path.read_bytes().splitlines(keepends=True)
        found = [LINE.fullmatch(line) for line in raw]
        assert all(found), raw
        return [(match[2], match[3]) for match in found if match]

    def close(self) -> None:
        os.close(self.writer)
        os.close(self.reader)
        self.log.close()


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    pipe = Pipe(tmp_path / "a" / "0.log")
    yield pipe
    pipe.close()


def test_a_line_waits_for_its_end(pipe: Pipe) -> None:
    pipe.say(b"one\ntw")
    assert pipe.lines() == [(b"F", b"one")]
    pipe.say(b"o\n\n")
    assert pipe.lines() == [(b"F", b"one"), (b"F", b"two"), (b"F", b"")]


def test_a_long_line_comes_in_pieces(pipe: Pipe) -> None:
    pipe.say(b"x" * (2 * KIB16 + 5))
    assert [(tag, len(text)) for tag, text in pipe.lines()] == [(b"P", KIB16), (b"P", KIB16)]
    pipe.say(b"\n")
    assert pipe.lines()[-1] == (b"F", b"xxxxx")


def test_a_last_line_without_an_end_is_a_piece(pipe: Pipe) -> None:
    pipe.say(b"dying words")
    pipe.stream.end()
    pipe.stream.end()
    assert pipe.lines() == [(b"P", b"dying words")]


def test_the_end_of_the_stream_and_nothing_yet_are_told_apart(pipe: Pipe) -> None:
    assert pipe.stream.pump() == -1
    os.write(pipe.writer, b"abc")
    assert pipe.stream.pump() == 3
    other = os.dup(pipe.writer)
    os.close(pipe.writer)
    assert pipe.stream.pump() == -1
    os.close(other)
    assert pipe.stream.pump() == 0
    pipe.writer = os.dup(pipe.reader)


@given(
    st.lists(st.binary(max_size=200), max_size=8),
    st.integers(1, 50),
)
def test_no_byte_is_lost_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], size: int
) -> None:
    pipe = Pipe(tmp_path_factory.mktemp("log") / "0.log")
    try:
        said = b"".join(line.replace(b"\n", b"") + b"\n" for line in lines)
        for start in range(0, len(said), size):
            pipe.say(said[start : start + size])
        lines_written = pipe.path.read_bytes().split(b"\n")[:-1]
        texts = [line.split(b" ", 3)[3] for line in lines_written]
        assert b"".join(text + b"\n" for text in texts) == said
    finally:
        pipe.close()


def test_a_full_file_is_set_aside_and_three_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    log = Log(str(path), limit=100)
    for number in range(10):
        log.write([b"%060d\n" % number])
    log.close()
    kept = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert sorted(kept) == ["0.log", "0.log.1", "0.log.2"]
    assert b"%060d" % 9 in kept["0.log.1"]
    assert b"%060d" % 7 in kept["0.log.2"]
    assert kept["0.log"] == b""
    assert log.dropped == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    mount(b"tmpfs", os.fsencode(tmp_path), b"tmpfs", 0, b"size=64k")
    yield tmp_path
    umount2(os.fsencode(tmp_path), MNT.DETACH)


def fill(file: Path) -> None:
    """Take all that is left of the disk."""
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(1024))


def test_on_a_full_disk_lines_are_dropped_counted_and_told(disk: Path) -> None:
    pipe = Pipe(disk / "0.log")
    ballast = disk / "ballast"
    try:
        pipe.say(b"before\n")
        fill(ballast)
        # Some still fit into the page that the log has already.
        for number in range(200):
            pipe.say(b"line %d %s\n" % (number, b"x" * 100))
        size = pipe.path.stat().st_size
        missing = pipe.log.dropped
        assert 0 < missing < 200
        assert pipe.path.read_bytes().endswith(b"\n")
        pipe.say(b"still\n" * 5)
        assert pipe.path.stat().st_size == size
        ballast.unlink()
        pipe.say(b"after\n")
        *known, gap, last = pipe.lines()
        assert len(known) == 1 + 200 - missing
        assert gap[1] == b"podarium: %d lines are missing here: No space left on device" % (
            missing + 5
        )
        assert last[1] == b"after"
        assert pipe.log.dropped == 0
    finally:
        pipe.close()


def test_a_gap_is_told_at_the_end_at_the_latest(disk: Path) -> None:
    pipe = Pipe(disk / "0.log")
    (disk / "ballast").write_bytes(bytes(56 * 1024))
    fill(disk / "more")
    pipe.say(b"x" * 8000 + b"\n")
    assert pipe.lines() == []
    (disk / "ballast").unlink()
    pipe.close()
    ((_, text),) = pipe.lines()
    assert text == b"podarium: 1 lines are missing here: No space left on device"


def test_a_file_that_cannot_be_set_aside_goes_on(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "0.log"), limit=100)
    log.begin()
    (tmp_path / "0.log.1").mkdir()
    (tmp_path / "0.log.1" / "x").touch()
    for number in range(10):
        log.write([b"%060d\n" % number])
    assert log.dropped == 0
    assert (tmp_path / "0.log.2").is_dir() or (tmp_path / "0.log").read_bytes().count(b"\n") == 10
    log.close()


def test_a_log_continues_where_it_ended(tmp_path: Path) -> None:
    for word in (b"first\n", b"second\n"):
        log = Log(str(tmp_path / "0.log"))
        log.write([word])
        log.close()
    assert (tmp_path / "0.log").read_bytes() == b"first\nsecond\n"


def test_stamps_sort_as_text_and_are_utc() -> None:
    assert stamp(0) == b"1970-01-01T00:00:00.000000000Z"
    assert stamp(1_700_000_000_000_000_001) == b"2023-11-14T22:13:20.000000001Z"
    assert stamp(1_700_000_000_999_999_999) == b"2023-11-14T22:13:20.999999999Z"
