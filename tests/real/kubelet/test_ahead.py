"""Containers that are made while they must wait: used when nothing changed, and never else."""

from __future__ import annotations

from pathlib import Path

from engine.kubelet.backoff import Backoff
from engine.types.pods import Pod
from tests.real.kubelet.conftest import IMAGE, NOTHING, Cluster
from tests.real.kubelet.test_pods import main, running, waits_for
from tests.real.runtime.conftest import until

WAIT_S = 1.5
PAGES = 20
ENDS = "n=$(cat /t/n); echo $((n+1)) > /t/n; [ $n -ge 2 ] && exec sleep 1000; exit 1"


def volume(path: Path) -> dict[str, object]:
    return {"name": "t", "hostPath": {"path": str(path)}}


async def trace(cluster: Cluster, pod: Pod, name: str = "main") -> list[str]:
    """The steps of its container's start."""
    statuses = pod.status.container_statuses
    (id,) = (s.container_id.rpartition("/")[2] for s in statuses if s.name == name)
    states = await cluster.runtime.containers()
    return [step for state in states if state.id == id for step, _, _ in state.trace]


def created(cluster: Cluster) -> bool:
    """Whether a process waits for nothing but the word to execute: it has let go of the memory that
    it has from its keeper, and is not yet called otherwise."""
    keeper = cluster.runtime.keeper_pid
    for pid in Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split():
        try:
            name = Path(f"/proc/{pid}/comm").read_text()
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            waits = "State:\tS" in Path(f"/proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name.startswith("keeper") and waits and 0 < pages < PAGES:
            return True
    return False


async def test_after_a_back_off(cluster: Cluster, tmp_path: Path) -> None:
    cluster.kubelet.node.crashes = Backoff(WAIT_S, WAIT_S)
    (tmp_path / "n").write_text("0")
    mounts = [{"name": "t", "mountPath": "/t"}]
    loops = {"command": ["sh", "-c", ENDS], "volumeMounts": mounts}
    await cluster.run("loops", loops, volumes=[volume(tmp_path)])
    pod = await cluster.until(
        "loops", lambda p: main(p) and main(p).restart_count == 2 and main(p).state.running
    )
    assert await trace(cluster, pod) == ["hand-over", "exec"]
    folder = cluster.paths.node("n1").pods / pod.metadata.uid / "containers/main"
    assert {path.name for path in folder.iterdir()} == {"2", "2.plan", "2.words"}
    await cluster.delete("loops", grace=0)
    assert await cluster.settled() == NOTHING


async def test_what_changed_meanwhile(cluster: Cluster, tmp_path: Path) -> None:
    """A file that was replaced: what was made has the old one."""
    cluster.kubelet.node.crashes = Backoff(WAIT_S, WAIT_S)
    word = tmp_path / "word"
    word.write_text("old\n")
    reads = {
        "command": ["sh", "-c", "cat /word; read w < /word; [ $w = new ]"],
        "volumeMounts": [{"name": "t", "mountPath": "/word"}],
    }
    await cluster.run("reads", reads, volumes=[volume(word)], restartPolicy="OnFailure")
    await cluster.until("reads", waits_for("CrashLoopBackOff"))
    await until(lambda: created(cluster))
    (tmp_path / "other").write_text("new\n")
    (tmp_path / "other").rename(word)
    pod = await cluster.until("reads", lambda p: p.status.phase == "Succeeded")
    assert main(pod).restart_count == 2
    assert await cluster.log("reads") == "new"
    await cluster.delete("reads")
    assert await cluster.settled() == NOTHING


async def test_while_an_init_container_runs(cluster: Cluster, tmp_path: Path) -> None:
    mounts = [{"name": "t", "mountPath": "/t"}]
    init = {
        "name": "init",
        "image": IMAGE,
        "command": ["sh", "-c", "until [ -e /t/go ]; do sleep 0.05; done"],
        "volumeMounts": mounts,
    }
    await cluster.run(
        "two", {"command": ["sleep", "1000"]}, initContainers=[init], volumes=[volume(tmp_path)]
    )
    await until(lambda: created(cluster))
    (tmp_path / "go").touch()
    pod = await cluster.until("two", running)
    assert await trace(cluster, pod) == ["hand-over", "exec"]
    await cluster.delete("two", grace=0)
    assert await cluster.settled() == NOTHING


async def test_a_pod_that_goes_while_it_waits(cluster: Cluster) -> None:
    cluster.kubelet.node.crashes = Backoff(1000.0, 1000.0)
    await cluster.run("gone", {"command": ["sh", "-c", "exit 1"]})
    await cluster.until("gone", waits_for("CrashLoopBackOff"))
    await until(lambda: created(cluster))
    await cluster.delete("gone")
    assert await cluster.settled() == NOTHING
