"""Conversations with processes in containers: pipes, terminals, those who attach, and their end."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import aclosing

import msgspec
import pytest

from engine.runtime.cgroup.api import detect
from engine.runtime.runtime import Runtime, Session, StartError
from engine.runtime.spec import default_spec
from tests.real.runtime.conftest import Node, said, until


async def text_of(session: Session, name: str = "stdout") -> bytes:
    """All of an output."""
    return b"".join([block async for block in blocks(session, name)])


async def blocks(session: Session, name: str = "stdout") -> AsyncIterator[bytes]:
    while block := await session.outputs[name].read():
        yield block


async def until_said(session: Session, words: bytes) -> bytes:
    text = b""
    async with aclosing(blocks(session)) as found:  # type: ignore[type-var]
        async for block in found:
            text += block
            if words in text:
                return text
    raise AssertionError(f"ended without {words!r}: {text!r}")


async def test_outputs_are_apart_and_the_code_is_told(node: Node) -> None:
    await node.start("c", "sleep", "1000")
    session = await node.runtime.session("c", ["sh", "-c", "echo out; echo err >&2; exit 5"])
    out, err = await asyncio.gather(text_of(session), text_of(session, "stderr"))
    assert (out, err, await session.wait()) == (b"out\n", b"err\n", 5)
    session.close()


async def test_ten_megabytes_go_in_and_out_unchanged(node: Node) -> None:
    await node.start("c", "sleep", "1000")
    data = os.urandom(10 << 20)
    session = await node.runtime.session("c", ["cat"], stdin=True)

    async def feed() -> None:
        for begin in range(0, len(data), 100_000):
            await session.write(data[begin : begin + 100_000])
        session.end_input()

    _, out = await asyncio.gather(feed(), text_of(session))
    assert hashlib.sha256(out).digest() == hashlib.sha256(data).digest()
    assert await session.wait() == 0
    session.close()


async def test_what_cannot_be_executed_is_an_error_in_both_ways(node: Node) -> None:
    await node.start("c", "sleep", "1000")
    for terminal in (False, True):
        with pytest.raises(StartError, match="not found in PATH"):
            await node.runtime.session("c", ["no-such"], terminal=terminal)
    with pytest.raises(OSError, match="no such container"):
        await node.runtime.session("nobody", ["id"])


async def test_input_that_nobody_reads_is_dropped(node: Node) -> None:
    await node.start("c", "sleep", "1000")
    session = await node.runtime.session("c", ["id"], stdin=True)
    await session.write(bytes(1 << 20))
    assert await session.wait() == 0
    session.close()


async def test_a_terminal(node: Node) -> None:
    spec = default_spec(("sleep", "1000"))
    process = msgspec.structs.replace(
        spec.process, user=msgspec.structs.replace(spec.process.user, uid=1000, gid=1000)
    )
    await node.start("c", spec=msgspec.structs.replace(spec, process=process))
    script = 'test -t 0 && test -t 2 && echo "$TERM" && readlink /proc/self/fd/0 && exec cat'
    session = await node.runtime.session("c", ["sh", "-c", script], terminal=True, stdin=True)
    assert list(session.outputs) == ["stdout"]
    await until_said(session, b"xterm\r\n/dev/pts/0\r\n")
    await session.write(b"hello\n")
    await until_said(session, b"hello\r\nhello\r\n")
    await session.write(b"\x03")
    await text_of(session)
    assert await session.wait() == 130
    session.close()


async def test_a_resize_is_seen(node: Node) -> None:
    await node.start("c", "sleep", "1000")
    script = "trap 'stty size; exit 4' WINCH; echo ready; while :; do read line; done"
    session = await node.runtime.session("c", ["sh", "-c", script], terminal=True, stdin=True)
    await until_said(session, b"ready")
    session.resize(132, 43)
    assert b"43 132" in await text_of(session)
    assert await session.wait() == 4
    session.close()


@pytest.mark.parametrize("terminal", [False, True])
async def test_closing_ends_the_process_and_its_jobs(node: Node, terminal: bool) -> None:
    state = await node.start("c", "sleep", "1000")
    script = "set -m; trap '' HUP; sleep 999 & echo ready; sleep 998; sleep 997"
    session = await node.runtime.session("c", ["sh", "-c", script], terminal=terminal)
    await until_said(session, b"ready")
    assert len(detect().procs(node.cgroup("c"))) >= 3
    session.close()
    await until(lambda: detect().procs(node.cgroup("c")) == [state.pid])


async def test_a_process_may_say_goodbye(node: Node) -> None:
    await node.start("c", "sleep", "1000")
    script = "trap 'echo hung up > /said; exit' HUP; echo ready; while :; do sleep 0.01; done"
    session = await node.runtime.session("c", ["sh", "-c", script])
    await until_said(session, b"ready")
    session.close()
    await until(lambda: len(detect().procs(node.cgroup("c"))) == 1)
    found = await node.runtime.exec("c", ["cat", "/said"], timeout_s=10)
    assert found.output == b"hung up\n"


async def test_sessions_end_with_their_engine(node: Node) -> None:
    state = await node.start("c", "sleep", "1000")
    other = await Runtime.attach(node.paths)
    assert other is not None
    session = await other.session("c", ["sh", "-c", "sleep 999 & sleep 998"], terminal=True)
    assert len(detect().procs(node.cgroup("c"))) > 1
    other.close()
    await until(lambda: detect().procs(node.cgroup("c")) == [state.pid])
    session.close()


async def test_a_job_left_behind_does_not_hold_the_answer(node: Node) -> None:
    await node.start("c", "sleep", "1000")
    session = await node.runtime.session("c", ["sh", "-c", "sleep 999 & echo done"])
    assert await asyncio.wait_for(text_of(session), 20) == b"done\n"
    assert await session.wait() == 0
    session.close()


async def test_attached_to_a_container_with_input(node: Node) -> None:
    await node.start("c", "cat", stdin=True)
    first = await node.runtime.attach_to("c", stdin=True)
    second = await node.runtime.attach_to("c")
    await first.write(b"hello\n")
    for session in (first, second):
        await until_said(session, b"hello\n")
    first.end_input()
    first.close()
    third = await node.runtime.attach_to("c", stdin=True, once=True)
    await third.write(b"again\n")
    third.end_input()
    assert await text_of(third) == b"again\n"
    assert await text_of(second) == b"again\n"
    assert (await node.future("c")).exit_code == 0
    assert said(node.log("c")) == "hello\nagain\n"
    for session in (second, third):
        session.close()
    with pytest.raises(OSError, match="not running"):
        await node.runtime.attach_to("c")


async def test_attached_to_one_without_input(node: Node) -> None:
    await node.start("c", "sleep", "1000")
    with pytest.raises(OSError) as raised:
        await node.runtime.attach_to("c", stdin=True)
    assert raised.value.errno == errno.ENXIO


async def test_a_container_on_a_terminal(node: Node) -> None:
    spec = default_spec(("sh", "-c", "echo begun; read line; echo got $line; stty size"))
    spec = msgspec.structs.replace(
        spec, process=msgspec.structs.replace(spec.process, terminal=True)
    )
    await node.start("c", spec=spec)
    session = await node.runtime.attach_to("c", stdin=True)
    assert session.terminal
    session.resize(90, 30)
    await session.write(b"words\n")
    assert (await text_of(session)).endswith(b"got words\r\n30 90\r\n")
    session.close()
    assert (await node.future("c")).exit_code == 0
    assert "begun" in said(node.log("c"))
    assert "got words" in said(node.log("c"))


async def test_nothing_is_lost_to_one_who_reads_late(node: Node) -> None:
    script = "read go; head -c 1000000 /dev/zero; echo end"
    await node.start("c", "sh", "-c", script, stdin=True)
    late = await node.runtime.attach_to("c", stdin=True)
    gone = await node.runtime.attach_to("c")
    await late.write(b"go\n")
    # Neither reads: the container waits for both, and for the one no longer once it is gone.
    gone.close()
    assert await text_of(late) == bytes(1_000_000) + b"end\n"
    assert (await node.future("c")).exit_code == 0
    late.close()
