"""The dashboard: attach to a running cluster or start one; at the end keep it or stop it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from engine.boot import read
from engine.home import ClusterPaths
from engine.launch import EngineOptions, running, spawn
from engine.types.boot import BootStep
from engine.types.registry import find
from podarium import documents
from podarium.failure import Failure
from podarium.lifecycle import down, follow_boot, require_root, take_down

PICTURE_TIMEOUT_S = 180.0


def dashboard(paths: ClusterPaths, options: EngineOptions, *, read_only: bool = False) -> None:
    """Open the screen; starts the engine first when there is none, so that both start at once."""
    _require_terminal()
    require_root()
    boot, was_down = None, not paths.run.exists()
    if running(paths) is None:
        spawn(paths, options)
        boot = paths.boot_log
    elif options.apply:
        _apply(paths, options.apply)

    from podarium.__main__ import STARTED
    from tui.app import run_dashboard
    from tui.endpoint import Endpoint

    outcome = run_dashboard(
        Endpoint(unix=paths.api_socket),
        cluster=paths.name,
        boot=boot,
        t0=STARTED,
        read_only=read_only,
    )
    failed = _failed_step(paths) if boot else None
    if failed is not None:
        if was_down:
            take_down(paths)
        raise Failure(f"cluster {paths.name}: {failed.step}: {failed.detail}")
    if outcome == "stop":
        down(paths)
    elif running(paths) is not None:
        option = "" if paths.name == "default" else f" --cluster {paths.name}"
        click.echo(
            f"cluster {paths.name} goes on; podarium{option} opens it again,"
            f" podarium down{option} stops it"
        )


def foreign(kubeconfig: Path, context: str | None, *, read_only: bool = False) -> None:
    """Open the screen on the cluster of a kubeconfig's context, the current one if none is named.

    Nothing is started and nothing is stopped; root is not needed.
    """
    from engine.client import kubeconfig as kubeconfigs
    from engine.client.errors import KubeconfigError
    from podarium.__main__ import STARTED
    from tui.prepaint import prepaint

    _require_terminal()
    try:
        name = kubeconfigs.read([kubeconfig], context).context
    except KubeconfigError as error:
        raise Failure(str(error), 2) from None
    prepaint(name)
    from tui.app import run_dashboard
    from tui.endpoint import Endpoint

    endpoint = Endpoint(kubeconfig=kubeconfig, context=name)
    try:
        run_dashboard(endpoint, cluster=name, t0=STARTED, read_only=read_only)
    except KubeconfigError as error:
        raise Failure(str(error), 2) from None


def _require_terminal() -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Failure(
            "the dashboard needs a terminal; without one use podarium up, get, logs,"
            " or podarium demo --screenshot FILE.svg",
            2,
        )


def _failed_step(paths: ClusterPaths) -> BootStep | None:
    steps, _ = read(paths.boot_log)
    return next((step for step in steps if step.state == "failed"), None)


def _apply(paths: ClusterPaths, files: Sequence[Path]) -> None:
    from engine.client.apply import apply
    from engine.client.client import Client
    from podarium.connection import ask

    manifests = documents.read(str(file) for file in files)

    async def talk(client: Client) -> None:
        for manifest in manifests:
            await apply(client, manifest)

    ask(paths, talk)


def picture(
    paths: ClusterPaths,
    options: EngineOptions,
    target: Path,
    *,
    size: str,
    views: Sequence[str],
    seconds: int,
) -> None:
    """The demo without a terminal: boot, wait until settled, draw, take it all down. `target` is a
    file, or a folder for several views.

    A cluster that ran before, or has objects kept, is not taken: another --cluster is asked for.
    """
    columns, _, rows = size.partition("x")
    if not (columns.isdigit() and rows.isdigit() and int(columns) >= 40 and int(rows) >= 12):
        raise Failure(f"--size {size}: write COLSxROWS, at least 40x12", 2)
    if paths.state.exists():
        raise Failure(
            f"cluster {paths.name} exists, and the picture's cluster is removed afterwards:"
            f" give another --cluster, or podarium down --purge first"
        )
    require_root()
    from podarium.demo.settled import settled
    from tui.endpoint import Endpoint
    from tui.recording.screenshot import VIEWS, NotSettled, capture

    for view in views:
        if view not in VIEWS and find(view) is None:
            raise Failure(f"--view {view}: there is {', '.join(VIEWS)}, and every kind's name", 2)
    if len(views) > 1 and not target.is_dir():
        raise Failure(f"--screenshot {target}: {len(views)} views need a folder that exists", 2)
    files = {view: target / f"{view}.svg" if target.is_dir() else target for view in views}
    engine = spawn(paths, options)
    try:
        follow_boot(paths, engine)
        asyncio.run(
            capture(
                Endpoint(unix=paths.api_socket),
                files,
                cluster=paths.name,
                size=(int(columns), int(rows)),
                settled=lambda model: settled(model.pods().values()),
                ticks=seconds,
                timeout_s=PICTURE_TIMEOUT_S + seconds,
            )
        )
    except (NotSettled, ValueError, OSError) as error:
        raise Failure(str(error)) from None
    finally:
        down(paths, purge=True)
    for view, file in files.items():
        click.echo(f"{file}: {view}, {size}")
