"""A keeper becomes another program in place, and nobody who is in its keeping notices."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from engine.runtime import program, wire
from engine.runtime.runtime import Origin, Runtime, RuntimeFailure, SandboxConfig
from engine.runtime.spec import default_spec
from tests.real.runtime.conftest import Node, said, until
from tests.real.runtime.programs import copied, use
from tests.real.runtime.test_keepers import SYSTEM
from tests.real.runtime.test_keeping import children, descriptors, networks
from tests.real.runtime.test_session import text_of, until_said


def words(node: Node, root: Path | None = None, digest: str = "another") -> tuple[str, ...]:
    """How the keeper is to be executed: as it is, or from another root."""
    found = [*program.words(node.paths, "n")[:-1], digest]
    here = str(Path(program.__file__).parents[2])
    return tuple(word.replace(here, str(root)) if root else word for word in found)


async def become(node: Node, root: Path | None = None, digest: str = "another") -> None:
    await node.runtime.become(program.interpreter(), words(node, root, digest))


async def test_everything_goes_on(node: Node) -> None:
    keeper = node.runtime.keeper_pid
    await node.runtime.hold()
    await node.start("idle", "sleep", "1000")
    script = 'read go; printf half; read word; echo " line"; echo $word >&2; cat; exit 3'
    await node.start("talk", "sh", "-c", script, stdin=True)
    spec = default_spec(("sh", "-c", "while read line; do echo got $line; done"))
    process = msgspec.structs.replace(spec.process, terminal=True)
    spec = msgspec.structs.replace(spec, process=process)
    await node.start("terminal", spec=spec)
    talk = await node.runtime.attach_to("talk", stdin=True, once=True)
    await talk.write(b"go\n")
    terminal = await node.runtime.attach_to("terminal", stdin=True)
    shell = await node.runtime.session("idle", ["sh", "-c", "read w; exit $w"], stdin=True)
    ended = await node.start("ended", "sh", "-c", "exit 9")
    await node.future("ended")
    # Read, but in no log yet, since the line has not ended.
    assert (await talk.outputs["stdout"].read()) == b"half"
    before = {state.id: state for state in await node.runtime.containers()}

    await become(node)

    assert node.runtime.keeper_pid == keeper
    assert node.runtime.digest == "another"
    assert os.statvfs(f"/proc/{keeper}/exe").f_flag & os.ST_RDONLY
    assert {state.id: state for state in await node.runtime.containers()} == before
    assert before["ended"].exit_code == 9
    await talk.write(b"word\nmore\n")
    talk.end_input()
    assert (await node.future("talk")).exit_code == 3
    assert said(node.log("talk")) in ("half line\nword\nmore\n", "half line\nmore\nword\n")
    assert await text_of(talk, "stderr") == b"word\n"
    assert await text_of(talk) == b" line\nmore\n"
    await terminal.write(b"this\n")
    await until_said(terminal, b"got this")
    await shell.write(b"7\n")
    assert await shell.wait() == 7
    found = await node.runtime.exec("idle", ["ls", "/proc/self/fd"], timeout_s=10)
    assert found.output == b"0\n1\n2\n3\n"
    sandbox = await node.runtime.create_sandbox(SandboxConfig(id="new", hostname="h"))
    assert sandbox.id == "new"
    await node.runtime.remove("ended")
    assert ended.pid not in children(keeper)
    for session in (talk, terminal, shell):
        session.close()


async def test_nothing_that_happens_meanwhile_is_lost(node: Node) -> None:
    keeper, last = node.runtime.keeper_pid, 120_000
    for number in range(12):
        script = f"sleep 0.{number + 30}; exit {number}"
        await node.start(f"c{number}", "sh", "-c", script)
        node.future(f"c{number}")
    count = f"i=0; while [ $i -lt {last} ]; do i=$((i+1)); echo $i; done; exit 5"
    await node.start("count", "sh", "-c", count)
    node.future("count")
    times = 0
    while not all(future.done() for future in node.ended.values()):
        await become(node, digest=str(times))
        times += 1
    assert times > 1
    assert said(node.log("count")).split() == [str(number) for number in range(1, last + 1)]
    states = [await node.future(f"c{number}") for number in range(12)]
    assert [state.exit_code for state in states] == list(range(12))
    assert (await node.future("count")).exit_code == 5
    await until(lambda: children(keeper) == [])


async def test_no_descriptor_stays_behind(node: Node) -> None:
    await node.start("c", "sleep", "1000")
    await become(node)
    first = await settled(node)
    for number in range(3):
        await become(node, digest=str(number))
    assert await settled(node) == first


async def settled(node: Node) -> int:
    """How many descriptors it has when it has its spare namespaces, which it makes in its time: the
    node's, the one of "pod", and two."""
    await until(lambda: networks(node.runtime.keeper_pid) == 4)
    await node.runtime.containers()  # it is at rest when it answers
    return descriptors(node.runtime.keeper_pid)


async def test_an_engine_of_another_version_is_obeyed(node: Node, tmp_path: Path) -> None:
    """And so a keeper goes from one version to the next, whatever engine comes."""
    state = await node.start("c", "sleep", "1000")
    older = copied(tmp_path, "runtime/wire.py", f"VERSION = {wire.VERSION}", "VERSION = 3999")
    await become(node, older)
    assert node.runtime.version == 3999
    runtime = await Runtime.launch(node.paths, node="n")
    try:
        assert runtime.version == wire.VERSION
        assert runtime.digest == program.digest()
        assert runtime.beginning.origin is Origin.RE_EXECUTED
        assert str(runtime.keeper_pid) in runtime.beginning.text
        (found,) = await runtime.containers()
        assert (found.pid, found.running) == (state.pid, True)
        again = await Runtime.launch(node.paths, node="n")
        assert again.beginning.origin is Origin.FOUND
        again.close()
    finally:
        runtime.close()


@pytest.mark.parametrize(
    ("file", "old", "new", "why"),
    [
        ("runtime/keeper/server.py", "class Keeper:", "class Keeper", "SyntaxError"),
        ("runtime/keeper/succession.py", "FORMAT = 1", "FORMAT = 2", "facts of format 2, not 1"),
        ("runtime/keeper/serve.py", "def main() -> None:", "def main():\n    return", "a word"),
    ],
)
async def test_a_program_that_does_not_run_is_refused(
    node: Node, tmp_path: Path, file: str, old: str, new: str, why: str
) -> None:
    state = await node.start("c", "sleep", "1000")
    digest, before = node.runtime.digest, descriptors(node.runtime.keeper_pid)
    with pytest.raises(OSError, match=why):
        await become(node, copied(tmp_path, file, old, new))
    await until(lambda: descriptors(node.runtime.keeper_pid) == before)
    assert node.runtime.digest == digest
    (found,) = await node.runtime.containers()
    assert (found.pid, found.running) == (state.pid, True)
    found_fds = await node.runtime.exec("c", ["ls", "/proc/self/fd"], timeout_s=10)
    assert found_fds.output == b"0\n1\n2\n3\n"


async def test_an_interpreter_that_is_not_there_is_refused(node: Node) -> None:
    with pytest.raises(OSError, match="No such file"):
        await node.runtime.become("/no/such/python", words(node))
    gone = words(node, Path("/no/such/root"))
    with pytest.raises(OSError, match="No such file"):
        await node.runtime.become(program.interpreter(), gone)
    await become(node)


@pytest.mark.skipif(SYSTEM is None, reason="no /usr/bin/python3")
async def test_another_interpreter_is_sealed_too(node: Node) -> None:
    assert SYSTEM is not None
    state = await node.start("c", "sleep", "1000")
    keeper, theirs = node.runtime.keeper_pid, os.path.realpath(SYSTEM)
    await node.runtime.become(theirs, words(node))
    assert os.path.samefile(f"/proc/{keeper}/exe", theirs)
    assert os.statvfs(f"/proc/{keeper}/exe").f_flag & os.ST_RDONLY
    # The machine's own view of it is what it was.
    assert not os.statvfs(theirs).f_flag & os.ST_RDONLY
    mounted = Path(f"/proc/{keeper}/mountinfo").read_text().count(f" {theirs} ")
    # One that is sealed already is not covered again.
    await node.runtime.become(theirs, words(node))
    assert Path(f"/proc/{keeper}/mountinfo").read_text().count(f" {theirs} ") == mounted
    (found,) = await node.runtime.containers()
    assert (found.pid, found.running) == (state.pid, True)
    assert (await node.runtime.exec("c", ["id"], timeout_s=10)).exit_code == 0


async def test_a_new_program_that_dies_at_once_leaves_its_engine_with_everything(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = await node.start("c", "sleep", "1000")
    death = "def inherit(self, facts: dict[str, Any]) -> None:\n        os._exit(3)"
    first = death.partition("\n")[0]
    use(monkeypatch, copied(tmp_path, "runtime/keeper/estate.py", first, death))
    monkeypatch.setattr(program, "digest", lambda: "deadly")
    runtime = await Runtime.launch(node.paths, node="n")
    try:
        assert runtime.beginning.origin is Origin.ADOPTED
        (found,) = await runtime.containers()
        assert (found.pid, found.running) == (state.pid, True)
        await runtime.shutdown()
    finally:
        runtime.close()


async def test_a_keeper_that_cannot_become_ours_is_still_used_or_refused(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "words", lambda paths, node: ("-c", "print('not me')"))
    monkeypatch.setattr(program, "digest", lambda: "mine")
    runtime = await Runtime.launch(node.paths, node="n")
    assert runtime.beginning.origin is Origin.FOUND
    assert "not me" in runtime.beginning.text
    runtime.close()
    monkeypatch.setattr(wire, "VERSION", 4000)
    with pytest.raises(RuntimeFailure, match=r"another version .* not me.*; take the cluster down"):
        await Runtime.launch(node.paths, node="n")
    assert await node.runtime.containers() == []


async def test_starts_under_way_are_waited_for(node: Node) -> None:
    starts = [asyncio.create_task(node.start(f"c{n}", "sleep", "1000")) for n in range(5)]
    await asyncio.sleep(0)
    other = await Runtime.attach(node.paths)
    assert other is not None
    await other.become(program.interpreter(), words(node))
    states = await asyncio.gather(*starts)
    assert {s.id for s in await other.containers()} == {s.id for s in states}
    other.close()
