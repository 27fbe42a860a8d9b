"""The command line: which words there are, and where each leads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from engine.home import ClusterPaths, default_home
from podarium import buildcommands, completion, filecommands, imagecommands, podcommands
from podarium.clusteroption import cluster_option
from podarium.failure import Failure

Command = TypeVar("Command", bound=Callable[..., Any])


def shape_options(command: Command) -> Command:
    """How a new cluster is cut; an existing one keeps its shape."""
    for option in reversed(
        (
            click.option("--nodes", type=click.IntRange(1, 99), help="Local nodes.  [default: 3]"),
            click.option(
                "--node-cpu", metavar="CORES", help="Capacity of each node, as 1 or 1500m."
            ),
            click.option("--node-memory", metavar="SIZE", help="Capacity of each node, as 4Gi."),
        )
    ):
        command = option(command)
    return command


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="podarium", message="podarium %(version)s")
@cluster_option
@shape_options
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Open the dashboard on any Kubernetes cluster instead of one of ours.",
)
@click.option(
    "--context",
    metavar="NAME",
    help="Which of the kubeconfig's.  [default: current]",
    shell_complete=completion.contexts,
)
@click.option("--read-only", is_flag=True, help="A dashboard that can only look.")
@click.pass_context
def cli(
    ctx: click.Context,
    paths: ClusterPaths,
    nodes: int | None,
    node_cpu: str | None,
    node_memory: str | None,
    kubeconfig: Path | None,
    context: str | None,
    read_only: bool,
) -> None:
    """A glass tank for pods: a whole container cluster, alive in one terminal.

    Without a command: opens the dashboard, and starts the cluster when it is not running.
    """
    if kubeconfig is None and context is not None:
        raise Failure("--context is one of a file's: give --kubeconfig FILE too", 2)
    if ctx.invoked_subcommand is not None:
        if kubeconfig is not None:
            raise Failure(f"--kubeconfig opens the dashboard, not {ctx.invoked_subcommand}", 2)
    elif kubeconfig is not None:
        from podarium.dashboard import foreign

        foreign(kubeconfig, context, read_only=read_only)
    else:
        from engine.launch import EngineOptions
        from podarium.dashboard import dashboard

        options = EngineOptions(nodes, node_cpu, node_memory)
        dashboard(paths, options, read_only=read_only)


@cli.command()
@cluster_option
@shape_options
@click.option(
    "--screenshot",
    type=click.Path(path_type=Path),
    metavar="FILE.svg|DIR",
    help="No terminal: wait until the demo is settled, write its picture, take it down.",
)
@click.option("--size", default="120x36", show_default=True, metavar="COLSxROWS")
@click.option(
    "--view",
    "views",
    multiple=True,
    default=("overview",),
    show_default=True,
    metavar="VIEW",
    help="What is to be seen; with several of them a folder gets VIEW.svg of each.",
)
@click.option(
    "--seconds",
    type=click.IntRange(1, 300),
    default=20,
    show_default=True,
    help="How much the picture's charts show.",
)
def demo(
    paths: ClusterPaths,
    nodes: int | None,
    node_cpu: str | None,
    node_memory: str | None,
    screenshot: Path | None,
    size: str,
    views: tuple[str, ...],
    seconds: int,
) -> None:
    """Start the cluster with a demo in it, and watch."""
    from engine.launch import EngineOptions
    from podarium.dashboard import dashboard, picture
    from podarium.demo import manifests

    options = EngineOptions(nodes, node_cpu, node_memory, tuple(manifests()))
    if screenshot is None:
        dashboard(paths, options)
    else:
        picture(paths, options, screenshot, size=size, views=views, seconds=seconds)


@cli.command()
@cluster_option
@shape_options
def up(
    paths: ClusterPaths, nodes: int | None, node_cpu: str | None, node_memory: str | None
) -> None:
    """Start the cluster without a screen, and wait until it is ready."""
    from engine.launch import EngineOptions
    from podarium.lifecycle import up

    up(paths, EngineOptions(nodes, node_cpu, node_memory))


@cli.command()
@cluster_option
@click.option("--purge", is_flag=True, help="Forget the cluster's objects too.")
def down(paths: ClusterPaths, purge: bool) -> None:
    """Stop everything, and leave the machine as it was. Objects are kept for the next start."""
    from podarium.lifecycle import down

    down(paths, purge=purge)


@cli.command()
@cluster_option
def status(paths: ClusterPaths) -> None:
    """What runs: engine, nodes, pods. Exits 3 when the cluster is not running."""
    from podarium.lifecycle import status

    status(paths)


@cli.command()
@cluster_option
@click.option("-f", "--filename", "files", multiple=True, required=True, metavar="FILE|DIR|-")
@click.option("-n", "--namespace", default="default", show_default=True)
def apply(paths: ClusterPaths, files: tuple[str, ...], namespace: str) -> None:
    """Create or change objects as the manifests say."""
    from podarium.objects import apply

    apply(paths, files, namespace)


@cli.command()
@cluster_option
@click.argument("kind")
@click.argument("names", nargs=-1)
@click.option("-n", "--namespace", default="default", show_default=True)
@click.option("-A", "--all-namespaces", is_flag=True)
@click.option("-l", "--selector", default="", help="Labels: app=web,tier!=db")
@click.option("-o", "--output", type=click.Choice(["wide", "yaml", "json", "name"]))
def get(
    paths: ClusterPaths,
    kind: str,
    names: tuple[str, ...],
    namespace: str,
    all_namespaces: bool,
    selector: str,
    output: str | None,
) -> None:
    """List objects: podarium get pods -o wide."""
    from podarium.objects import get

    get(paths, kind, names, None if all_namespaces else namespace, selector, output)


@cli.command()
@cluster_option
@click.argument("kind")
@click.argument("names", nargs=-1, required=True)
@click.option("-n", "--namespace", default="default", show_default=True)
def delete(paths: ClusterPaths, kind: str, names: tuple[str, ...], namespace: str) -> None:
    """Delete objects by name."""
    from podarium.objects import delete

    delete(paths, kind, names, namespace)


@cli.command(add_help_option=False)
def oci() -> None:
    """The runtime as runc's and crun's command line: podarium oci --help.

    __main__ leads there before this file is read: podman runs it several times a container.
    """
    from podarium.oci import main as runtime

    runtime.main([])


@cli.command()
@cluster_option
def kubeconfig(paths: ClusterPaths) -> None:
    """Print the path of the cluster's kubeconfig: export KUBECONFIG=$(podarium kubeconfig)."""
    click.echo(paths.kubeconfig)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Every check as one JSON object.")
def doctor(as_json: bool) -> None:
    """What this machine has and lacks, what that costs, and how to mend it. Needs no root.

    Exits 0 when clusters can run here, 1 when not.
    """
    from podarium.doctor import doctor

    doctor(default_home(), as_json=as_json)


@cli.command()
def keymap() -> None:
    """The dashboard's commands and their keys, and the file that changes them."""
    from podarium.keymap import keymap

    keymap()


@cli.command(name="completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_(shell: str) -> None:
    """Code that lets a shell complete our words: eval "$(podarium completion bash)"."""
    click.echo(completion.script(shell, cli))


for part in (podcommands, filecommands, imagecommands, buildcommands):
    for command in part.COMMANDS:
        cli.add_command(command)
