"""A process that waits to execute: in a child, as it must be made before the fork."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from engine.linux import doorstep
from engine.linux.doorstep import Doorstep
from engine.linux.process import has_executed
from engine.linux.table import MACHINE

# pytest's own process has more than one thread now and then, and far more memory than a keeper.
SCRIPT = b'echo "$0 $1 $WORD"; exit 7'


def waiting(path: bytes, argv: tuple[bytes, ...], env: tuple[bytes, ...]) -> tuple[int, int, int]:
    """A child that waits: its pid, what to write to, what it writes to."""
    place = Doorstep()
    go, word = os.pipe()
    said, out = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(word)
        os.dup2(out, 1)
        place.lay_down(go, path, argv, env)
        os.write(1, b".")
        place.wait()
    for fd in (go, out):
        os.close(fd)
    assert os.read(said, 1) == b"."
    return pid, word, said


def status(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_it_executes_when_it_is_told_to() -> None:
    argv = (b"sh", b"-c", SCRIPT, b"zero", b"one two")
    pid, word, said = waiting(b"/bin/sh", argv, (b"PATH=/bin", b"WORD=three"))
    while int(Path(f"/proc/{pid}/statm").read_text().split()[1]) > 20:
        os.sched_yield()
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    assert [line for line in maps if ".so" in line or "[heap]" in line or "[stack]" in line] == []
    assert not any("w" in line.split()[1] and "x" in line.split()[1] for line in maps)
    assert not has_executed(pid)
    os.write(word, b".")
    os.close(word)
    assert os.read(said, 100) == b"zero one two three\n"
    assert has_executed(pid)
    assert status(pid) == 7
    os.close(said)


@pytest.mark.parametrize(("path", "word"), [(b"/no/such", b"."), (b"/bin/sh", b"")])
def test_it_ends_when_it_cannot_or_nobody_is_left_to_tell_it(path: bytes, word: bytes) -> None:
    pid, go, said = waiting(path, (b"sh", b"-c", b"exit 0"), ())
    os.write(go, word)
    os.close(go)
    assert not has_executed(pid)
    assert status(pid) == 127
    os.close(said)


def test_more_words_than_there_is_room_for() -> None:
    with pytest.raises(OSError) as caught:
        Doorstep().lay_down(0, b"/bin/sh", (b"x" * 200_000,), ())
    assert caught.value.errno == errno.E2BIG
    with pytest.raises(ValueError, match="null byte"):
        Doorstep().lay_down(0, b"/bin/sh", (b"a\0b",), ())


def test_the_page_cannot_be_written() -> None:
    place = Doorstep()
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(word, 16) for word in line.split()[0].split("-"))
        if start <= place._entry < end:
            assert line.split()[1] == "r-xp"
            return
    raise AssertionError("not mapped")


def test_instructions_of_every_machine() -> None:
    """As an assembler makes them: whole, and ending in exit_group of 127."""
    assert len(doorstep.code("aarch64")) % 4 == 0
    assert doorstep.code("aarch64")[-12:].hex() == "e00f80d2c80b80d2010000d4"
    assert doorstep.code("x86_64")[-12:].hex() == "bf7f000000b8e70000000f05"
    assert MACHINE in ("x86_64", "aarch64")
