"""The CRI's log format: blocks cut anywhere, tails, times, rotation, following."""

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.kubelet import logs

T1, T2, T3 = (f"2026-01-02T03:04:0{n}.000000000Z" for n in (1, 2, 3))
FIRST = 1767323041.0


def options(**wanted: Any) -> Any:
    everything = {
        "follow": False, "tail": None, "since": None, "timestamps": False, "limit_bytes": None,
    }  # fmt: skip
    return SimpleNamespace(**(everything | wanted))


def record(text: str, *, time: str = T1, stream: str = "stdout", tag: str = "F") -> str:
    return f"{time} {stream} {tag} {text}\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "0.log"
    path.write_text(
        record("one")
        + record("tw", time=T2, tag="P")
        + record("error", time=T2, stream="stderr")
        + record("o", time=T2)
        + record("three", time=T3)
    )
    return path


async def text(path: Path, **wanted: Any) -> str:
    return b"".join([block async for block in logs.read(path, options(**wanted))]).decode()


async def test_the_whole_log(log: Path) -> None:
    assert await text(log) == "one\ntwerror\no\nthree\n"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [(0, ""), (1, "three\n"), (2, "o\nthree\n"), (4, "one\ntwerror\no\nthree\n"), (99, None)],
)
async def test_the_end_of_a_log(log: Path, lines: int, expected: str | None) -> None:
    assert await text(log, tail=lines) == (await text(log) if expected is None else expected)


async def test_since(log: Path) -> None:
    assert await text(log, since=FIRST + 2) == "three\n"
    assert await text(log, since=FIRST + 2.5) == ""


async def test_timestamps_begin_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_text(record("a", tag="P") + record("b", time=T2) + record("c", time=T3))
    assert await text(path, timestamps=True) == f"{T1} ab\n{T3} c\n"


async def test_no_more_bytes_than_asked_for(log: Path) -> None:
    assert await text(log, limit_bytes=6) == "one\ntw"


def test_the_last_words_of_a_log(log: Path) -> None:
    assert logs.last_lines(log, 1, 3) == b"ee\n"
    assert logs.last_lines(log.with_name("none"), 1, 3) == b""


def test_a_stamp_is_what_the_records_carry() -> None:
    assert logs.stamp(FIRST) == T1.encode()
    assert logs.stamp(FIRST + 0.25) == b"2026-01-02T03:04:01.250000000Z"


@given(st.lists(st.binary(max_size=20).filter(lambda b: b"\n" not in b)), st.integers(1, 9))
def test_blocks_may_be_cut_anywhere(lines: list[bytes], size: int) -> None:
    data = b"".join(T1.encode() + b" stdout F " + line + b"\n" for line in lines)
    decoder = logs.Decoder()
    blocks = [data[at : at + size] for at in range(0, len(data), size)]
    assert b"".join(map(decoder.feed, blocks)) == b"".join(line + b"\n" for line in lines)


@given(st.lists(st.integers(0, 300), max_size=30), st.integers(0, 35), st.integers(1, 400))
def test_a_tail_is_found_whatever_the_block_size(sizes: list[int], wanted: int, block: int) -> None:
    lines = [f"{number}{'x' * size}" for number, size in enumerate(sizes)]
    fd = os.memfd_create("log")
    try:
        os.write(fd, "".join(map(record, lines)).encode())
        normal, logs.BLOCK = logs.BLOCK, block
        try:
            offset, lacking = logs.tail_offset(fd, wanted)
        finally:
            logs.BLOCK = normal
        rest = os.pread(fd, 1 << 20, offset)
    finally:
        os.close(fd)
    expected = lines[len(lines) - min(wanted, len(lines)) :]
    assert logs.Decoder().feed(rest).decode().splitlines() == expected
    assert lacking == max(0, wanted - len(lines))


async def test_following_ends_with_the_container(log: Path) -> None:
    ended = asyncio.Event()
    stream = logs.read(log, options(follow=True, tail=1), ended)
    assert await anext(stream) == b"three\n"
    with log.open("a") as file:
        file.write(record("four"))
    assert await anext(stream) == b"four\n"
    with log.open("a") as file:
        file.write(record("five"))
    ended.set()
    assert [block async for block in stream] == [b"five\n"]


async def test_following_goes_over_to_a_rotated_log(log: Path) -> None:
    ended = asyncio.Event()
    stream = logs.read(log, options(follow=True, tail=0), ended)
    reading = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    with log.open("a") as file:
        file.write(record("old"))
    assert await reading == b"old\n"
    log.rename(log.with_name("0.log.1"))
    log.write_text(record("new"))
    assert await anext(stream) == b"new\n"
    ended.set()
    assert [block async for block in stream] == []


async def test_a_whole_log_begins_with_its_rotated_pieces(log: Path) -> None:
    log.with_name("0.log.2").write_text(record("oldest"))
    log.with_name("0.log.1").write_text(record("older"))
    assert (await text(log)).startswith("oldest\nolder\none\n")
    assert await text(log, tail=5) == "older\n" + await text(log, tail=4)
    assert (await text(log, tail=6)).startswith("oldest\n")
