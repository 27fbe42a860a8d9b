"""Up, down, status: the cluster as a whole, from the shell."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import click

from engine import boot
from engine.home import ClusterPaths
from engine.launch import EngineOptions, running, spawn, stop
from engine.types.boot import BootStep
from podarium.connection import ask
from podarium.failure import Failure, NotRunning

if TYPE_CHECKING:
    from engine.client.client import Client

# The slowest step seen is the first build of the host image: 2 s on two slow cores.
BOOT_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 10.0
_MARKS = {"started": "…", "done": "✔", "failed": "✘"}


def require_root() -> None:
    """Raise Failure, with every cure, when this process or kernel cannot run containers."""
    from engine.runtime.needs import missing
    from engine.runtime.rootless.enter import obstacle, ordinary

    if ordinary():
        forbidden = obstacle()
        if forbidden:
            raise Failure(f"without root it takes a user namespace, and there is none: {forbidden}")
        return
    lacking = missing()
    if lacking:
        lines = [f"  {item.name}: {item.cost}\n    {item.cure}" for item in lacking]
        raise Failure("this machine cannot run containers as it is:\n" + "\n".join(lines))


def up(paths: ClusterPaths, options: EngineOptions) -> None:
    """Start the engine and follow its boot until it is ready.

    What a failed first start has made is taken away again; a cluster whose containers were running
    keeps them.
    """
    pid = running(paths)
    if pid is not None:
        click.echo(f"cluster {paths.name} is already running (engine pid {pid})")
        return
    require_root()
    was_down = not paths.run.exists()
    engine = spawn(paths, options)
    try:
        follow_boot(paths, engine, say=_say)
    except Failure:
        try:
            engine.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            stop(paths)  # late, rather than failed
        if was_down:
            take_down(paths)
        raise
    click.echo(f"kubectl: export KUBECONFIG={paths.kubeconfig}")


def _say(step: BootStep) -> None:
    if step.state != "started":
        took = f"{step.ms or 0:6.0f} ms"
        detail = click.style(step.detail, dim=True)
        click.echo(f"{_MARKS[step.state]} {took}  {step.step}  {detail}")


def follow_boot(
    paths: ClusterPaths, engine: subprocess.Popen[bytes], say: boot.Listener = lambda step: None
) -> None:
    """Wait for the boot's last step; raise Failure with the failed step's words."""
    deadline, offset = time.monotonic() + BOOT_TIMEOUT_S, 0
    while time.monotonic() < deadline:
        ended = engine.poll()
        steps, offset = boot.read(paths.boot_log, offset)
        for step in steps:
            say(step)
            if step.state == "failed":
                raise Failure(f"cluster {paths.name}: {step.step}: {step.detail}")
            if step.step == boot.READY:
                return
        if ended is not None:
            raise Failure(
                f"cluster {paths.name}: the engine ended with code {ended} before it was ready;"
                f" its last words are in {paths.engine_log}"
            )
        time.sleep(0.02)
    raise Failure(
        f"cluster {paths.name}: not ready after {BOOT_TIMEOUT_S:.0f} s; see {paths.engine_log}"
    )


def down(paths: ClusterPaths, *, purge: bool = False) -> None:
    """Stop the engine and everything it made; raise Failure naming what would not go."""
    if not paths.state.exists() and not paths.run.exists():
        click.echo(f"cluster {paths.name}: there is none")
        return
    require_root()
    take_down(paths, purge=purge)
    kept = "" if purge else f"; its objects are kept in {paths.state} (--purge forgets them)"
    click.echo(f"cluster {paths.name} is down{kept}")


def take_down(paths: ClusterPaths, *, purge: bool = False) -> None:
    """Remove what the cluster has on the machine; raise Failure naming what would not go."""
    from engine.teardown import teardown

    try:
        left = teardown(paths, purge=purge)
    except OSError as error:
        raise Failure(f"cluster {paths.name}: not all of it could be removed: {error}") from error
    if left:
        raise Failure(f"cluster {paths.name}: could not remove " + ", ".join(left))


def status(paths: ClusterPaths) -> None:
    """Nodes and pods in a few lines."""
    pid = running(paths)
    if pid is None:
        raise NotRunning(paths.name)
    ask(paths, lambda client: _status(paths, pid, client))


async def _status(paths: ClusterPaths, pid: int, client: Client) -> None:
    from engine.types.core import Node, Pod
    from engine.types.nodestatus import node_ready
    from engine.types.podstatus import pod_summary

    nodes = (await client.list(Node)).items
    pods = (await client.list(Pod)).items
    click.echo(f"cluster {paths.name}: engine pid {pid}, kubeconfig {paths.kubeconfig}")
    for node in nodes:
        mine = sum(pod.spec.node_name == node.metadata.name for pod in pods)
        state = "Ready" if node_ready(node) else "NotReady"
        click.echo(f"  node {node.metadata.name}: {state}, {mine} pods")
    words: dict[str, int] = {}
    for pod in pods:
        word = pod_summary(pod).status
        words[word] = words.get(word, 0) + 1
    summary = ", ".join(f"{count} {word}" for word, count in sorted(words.items()))
    click.echo(f"  pods: {summary or 'none'}")
