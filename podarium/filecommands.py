"""The command line's words for containers' files: diff, cp, export, commit."""

from __future__ import annotations

import click

from engine.home import ClusterPaths
from podarium.clusteroption import cluster_option

_namespace = click.option("-n", "--namespace", default="default", show_default=True)


@click.command()
@cluster_option
@_namespace
@click.option("--json", "as_json", is_flag=True, help="All that is known, as JSON.")
@click.argument("container", metavar="POD[/CONTAINER]")
def diff(paths: ClusterPaths, namespace: str, as_json: bool, container: str) -> None:
    """What a container changed in its image's files: A(dded), C(hanged), D(eleted)."""
    from podarium.containerfiles import diff

    diff(paths, container, namespace, as_json=as_json)


@click.command()
@cluster_option
@_namespace
@click.option("-a", "--archive", "keep_owner", is_flag=True, help="Keep owners, not only modes.")
@click.argument("source", metavar="SOURCE")
@click.argument("target", metavar="TARGET")
def cp(paths: ClusterPaths, namespace: str, keep_owner: bool, source: str, target: str) -> None:
    """Copy files out of a container or into it: podarium cp POD[/CONTAINER]:/etc/hosts .

    The container needs no tar. `DIR/.` is what the folder holds; `-` is a tar stream.
    """
    from podarium.containerfiles import copy

    copy(paths, source, target, namespace, keep_owner=keep_owner)


@click.command()
@cluster_option
@_namespace
@click.option("-o", "--output", default="-", metavar="FILE|-", help="[default: standard output]")
@click.argument("container", metavar="POD[/CONTAINER]")
def export(paths: ClusterPaths, namespace: str, output: str, container: str) -> None:
    """The whole root filesystem of a container as tar, without what is mounted in it."""
    from podarium.containerfiles import export

    export(paths, container, namespace, output)


@click.command()
@cluster_option
@_namespace
@click.option(
    "-c", "--change", "changes", multiple=True, metavar="INSTRUCTION", help="As 'CMD [\"sh\"]'."
)
@click.option("-a", "--author", default="", help="Who made it.")
@click.option("-m", "--message", default="", help="What its history says.")
@click.option(
    "--pause/--no-pause", default=True, show_default=True, help="Let the container stand still."
)
@click.argument("container", metavar="POD[/CONTAINER]")
@click.argument("reference", metavar="REF")
def commit(
    paths: ClusterPaths,
    namespace: str,
    changes: tuple[str, ...],
    author: str,
    message: str,
    pause: bool,
    container: str,
    reference: str,
) -> None:
    """Make an image of what a container changed: podarium commit web-1 web:mended."""
    from podarium.containerfiles import commit

    commit(
        paths,
        container,
        reference,
        namespace,
        changes=changes,
        author=author,
        message=message,
        pause=pause,
    )


COMMANDS = (diff, cp, export, commit)
