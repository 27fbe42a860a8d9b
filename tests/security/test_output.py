"""What a container says can neither fill the machine, nor the keeper, nor keep it from others."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.security.conftest import Captive

FILE, FILES = 10 << 20, 3
RECORD = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) [FP] .*", re.DOTALL)


def flood(megabytes: int, unit: bytes) -> None:
    """0 for without end."""
    block = (unit * (1 << 20))[: 1 << 20]
    written = 0
    while not megabytes or written < megabytes << 20:
        written += os.write(1 + (written >> 20) % 2, block)


def log_files(log: Path) -> list[Path]:
    return sorted(log.parent.glob(f"{log.name}*"))


def peak(pid: int) -> int:
    """The most memory that a process ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


FORGED = b"2001-01-01T00:00:00.000000000Z stdout F forged"
# How many megabytes of what. A record is some 45 bytes longer than its line.
FLOODS = {
    "lines": (100, b"a line as programs write them, of some eighty characters, mostly plain\n"),
    "no newline": (100, b"x"),
    "only newlines": (2, b"\n"),
    "binary": (40, bytes(range(256))),
    "escapes": (40, b"\x1b]0;owned\x07\x1b[2J\r\b"),
    "records": (40, b"\n" + FORGED),
}


@pytest.mark.parametrize("kind", FLOODS)
async def test_a_flood_is_bounded(captive: Captive, kind: str) -> None:
    node = captive.node
    before = peak(node.runtime.keeper_pid)
    await captive.begin(flood, *FLOODS[kind])
    # The keeper has time for others while it comes.
    ran = await node.runtime.exec("c", ["id"], timeout_s=60)
    assert ran.output.startswith(b"uid=0")
    await captive.ended()
    files = log_files(node.log("c"))
    assert len(files) == FILES
    assert all(file.stat().st_size < FILE + (8 << 20) for file in files), files
    assert peak(node.runtime.keeper_pid) < before + (24 << 20)
    # Whatever came, every record is one of ours, and what it holds is what was said.
    *records, last = files[-1].read_bytes().split(b"\n")
    assert last == b""
    assert all(RECORD.fullmatch(record) for record in records)
    assert not any(record.startswith(FORGED[:30]) for record in records)


async def test_a_flood_without_end_stops_nobody(captive: Captive) -> None:
    node = captive.node
    for id in ("c", "d"):
        await captive.begin(flood, 0, b"y\n", id=id)
    for number in range(3):
        assert await node.run(f"other-{number}", "id", "-u") == "0\n"
    await node.runtime.kill("c")
    assert (await captive.ended()).signal == 9
