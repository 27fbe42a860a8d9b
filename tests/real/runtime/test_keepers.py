"""Starting keepers: under other interpreters, several at once, and when it cannot work."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from engine.home import ClusterPaths
from engine.linux.process import pid_alive
from engine.runtime import keepers, program
from engine.runtime.features import probe
from engine.runtime.needs import missing
from engine.runtime.runtime import KeeperNotStarted, Runtime
from tests.real.runtime.conftest import left_of

SYSTEM = next((p for p in map(shutil.which, ("/usr/bin/python3",)) if p), None)


@pytest.mark.skipif(SYSTEM is None, reason="no /usr/bin/python3")
async def test_under_the_systems_python(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A keeper needs no package beyond the standard library."""
    assert SYSTEM is not None
    monkeypatch.setattr(program, "interpreter", lambda: os.path.realpath(SYSTEM))
    paths = ClusterPaths.of(home, "t").node("n")
    runtime = await Runtime.launch(paths, node="n")
    assert os.path.samefile(f"/proc/{runtime.keeper_pid}/exe", SYSTEM)
    await runtime.shutdown()
    assert left_of(paths) == []


async def test_several_nodes_of_a_cluster(home: Path) -> None:
    cluster = ClusterPaths.of(home, "t")
    nodes = [cluster.node(f"n{number}") for number in range(3)]
    runtimes = await asyncio.gather(*(Runtime.launch(paths, node=paths.name) for paths in nodes))
    spaces = {os.fstat(runtime.netns_fd()).st_ino for runtime in runtimes}
    assert len({runtime.keeper_pid for runtime in runtimes}) == len(spaces) == 3
    assert os.stat("/proc/self/ns/net").st_ino not in spaces
    pid, started = map(int, nodes[0].keeper_pid.read_text().split())
    assert pid == runtimes[0].keeper_pid
    assert pid_alive(pid, started)
    assert os.stat(nodes[0].keeper_socket).st_mode & 0o777 == 0o600
    # No child of ours: our end is not theirs.
    assert int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) != os.getpid()
    assert os.getsid(pid) == pid
    await asyncio.gather(*(runtime.shutdown() for runtime in runtimes))
    for paths in nodes:
        assert left_of(paths) == []


async def test_a_keeper_that_cannot_start_says_why(home: Path) -> None:
    paths = ClusterPaths.of(home, "t").node("n")
    # Something else has taken the place of its pid file.
    paths.keeper_socket.parent.mkdir(parents=True)
    (paths.keeper_socket.parent / "n.pid").mkdir()
    with pytest.raises(KeeperNotStarted, match=r"node n: .*Is a directory"):
        await keepers.start(paths, "n")
    paths.keeper_socket.unlink()


def test_this_machine_lacks_nothing() -> None:
    assert missing() == []
    found = probe()
    assert found.links is not None
    assert sorted(found.links) == ["bridge", "veth"]
    assert found.root
    assert found.overlay
