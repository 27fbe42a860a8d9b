"""The words about one pod: what it says, talking with it, running one, and how one is started."""

from __future__ import annotations

import click

from engine.home import ClusterPaths
from podarium import completion
from podarium.clusteroption import cluster_option
from podarium.failure import Failure

_namespace = click.option("-n", "--namespace", default="default", show_default=True)
_container = click.option("-c", "--container", default="")
_pod = click.argument("pod", shell_complete=completion.pods)


@click.command()
@cluster_option
@_pod
@_container
@_namespace
@click.option("-f", "--follow", is_flag=True)
@click.option("-p", "--previous", is_flag=True, help="Of the container that ran before this one.")
@click.option("--tail", type=click.IntRange(0), help="Only so many last lines.")
@click.option("--timestamps", is_flag=True)
def logs(
    paths: ClusterPaths,
    pod: str,
    container: str,
    namespace: str,
    follow: bool,
    previous: bool,
    tail: int | None,
    timestamps: bool,
) -> None:
    """What a container wrote."""
    from podarium.objects import logs

    logs(
        paths,
        pod,
        container,
        namespace,
        follow=follow,
        previous=previous,
        tail=tail,
        timestamps=timestamps,
    )


@click.command(name="exec")
@cluster_option
@_container
@_namespace
@click.option("-i", "--stdin", "interactive", is_flag=True, help="Pass standard input on.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal.")
@_pod
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(
    paths: ClusterPaths,
    container: str,
    namespace: str,
    interactive: bool,
    tty: bool,
    pod: str,
    command: tuple[str, ...],
) -> None:
    """Run a command in a running container: podarium exec -it POD -- sh."""
    from podarium.sessions import exec

    exec(
        paths,
        pod,
        command,
        container=container,
        namespace=namespace,
        interactive=interactive,
        tty=tty,
    )


@click.command()
@cluster_option
@_container
@_namespace
@click.option("--no-stdin", is_flag=True, help="Only look.")
@_pod
def attach(paths: ClusterPaths, container: str, namespace: str, no_stdin: bool, pod: str) -> None:
    """Join a container's first process: its output, and its input and terminal if it has them.

    ctrl-p ctrl-q leaves it to itself.
    """
    from podarium.sessions import attach

    attach(paths, pod, container=container, namespace=namespace, interactive=not no_stdin)


@click.command(name="port-forward")
@cluster_option
@_namespace
@click.option(
    "--address",
    "addresses",
    multiple=True,
    default=["127.0.0.1", "::1"],
    show_default=True,
    help="Where to listen.",
)
@_pod
@click.argument("ports", nargs=-1, required=True, metavar="LOCAL:REMOTE...")
def port_forward(
    paths: ClusterPaths,
    namespace: str,
    addresses: tuple[str, ...],
    pod: str,
    ports: tuple[str, ...],
) -> None:
    """Reach a pod's ports from this machine: podarium port-forward POD 8080:80."""
    from podarium.sessions import port_forward

    port_forward(paths, pod, ports, namespace=namespace, addresses=list(addresses))


@click.command(context_settings={"ignore_unknown_options": True})
@cluster_option
@click.option("--name", default="", help="The pod's name.  [default: run-…]")
@_namespace
@click.option("--env", "-e", multiple=True, metavar="NAME=VALUE")
@click.option("--stdin", "-i", "interactive", is_flag=True, help="Pass standard input on.")
@click.option("--tty", "-t", is_flag=True, help="Give it a terminal; ctrl-p ctrl-q leaves it.")
@click.option("--detach", "-d", is_flag=True, help="Print the pod's name and leave it running.")
@click.option(
    "--rm/--keep", "remove", default=True, show_default=True, help="Whether it goes when it ends."
)
@click.argument("image", shell_complete=completion.images)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def run(
    paths: ClusterPaths,
    name: str,
    namespace: str,
    env: tuple[str, ...],
    interactive: bool,
    tty: bool,
    detach: bool,
    remove: bool,
    image: str,
    words: tuple[str, ...],
) -> None:
    """Run IMAGE -- COMMAND in a pod, show its output, exit with its code."""
    from podarium.running import Wanted, run

    if detach and (interactive or tty):
        raise Failure("-d leaves the pod at once: it goes without -i and -t", 2)
    wanted = Wanted(interactive=interactive, tty=tty, detach=detach, remove=remove)
    run(paths, image, words, name=name, namespace=namespace, env=env, wanted=wanted)


@click.command()
@cluster_option
@_namespace
@click.option("-f", "--filename", default="", metavar="POD.yaml|-")
@click.argument("pod", default="", metavar="[POD[/CONTAINER]]", shell_complete=completion.pods)
def plan(paths: ClusterPaths, namespace: str, filename: str, pod: str) -> None:
    """Print every operation that starting a pod's containers would do, or did.

    Of a file (-f) nothing is done, and it needs no root. Of a pod that runs, with the time that
    each step took.
    """
    from podarium.plans import plan, running

    if bool(filename) == bool(pod):
        raise Failure("say which: a pod, or -f with a file", 2)
    if filename:
        plan(filename)
    else:
        running(paths, pod, namespace)


COMMANDS = (logs, exec_, attach, port_forward, run, plan)
