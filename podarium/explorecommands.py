"""The words of `podarium image` that look into images."""

from __future__ import annotations

from pathlib import Path

import click

from engine.home import ClusterPaths
from podarium import completion
from podarium.clusteroption import cluster_option
from podarium.imagehome import image_home

_NUMBER = click.IntRange(1)
reference = click.argument("reference", metavar="REF", shell_complete=completion.images)
json_option = click.option("--json", "as_json", is_flag=True, help="As one JSON document.")


@click.command()
@reference
@click.option("--no-trunc", "whole", is_flag=True, help="Commands at full length.")
@json_option
def history(reference: str, whole: bool, as_json: bool) -> None:
    """How an image came about, step by step, with the bytes that each step added."""
    from podarium.exploring import history

    history(image_home(), reference, whole=whole, as_json=as_json)


@click.command()
@reference
@click.argument("path", default="/")
@click.option(
    "--layer", type=_NUMBER, help="As it is when this layer is the topmost, 1 the lowest."
)
@click.option("--since", type=click.IntRange(0), help="Mark what changed after this layer.")
@click.option("--depth", type=_NUMBER, default=1, show_default=True, help="How many levels.")
@click.option("--changed", is_flag=True, help="Only what differs, at any depth.")
@click.option("--sort", type=click.Choice(["name", "size"]), default="name", show_default=True)
@click.option("--min-size", default="0", metavar="SIZE", help="Nothing smaller, as 1MB.")
@json_option
def tree(
    reference: str,
    path: str,
    layer: int | None,
    since: int | None,
    depth: int,
    changed: bool,
    sort: str,
    min_size: str,
    as_json: bool,
) -> None:
    """The files of an image: podarium image tree REF /usr --depth 2 --sort size.

    With --layer N what that layer added, changed or removed is marked; with --since also what the
    layers between did.
    """
    from podarium.exploring import TreeWish, tree
    from podarium.wasterules import size_of

    least = size_of(min_size, "--min-size")
    wish = TreeWish(path, layer, since, depth, changed, sort == "size", least)
    tree(image_home(), reference, wish, as_json=as_json)


@click.command()
@reference
@click.option("--top", type=_NUMBER, default=20, show_default=True, help="How many paths.")
@click.option("--same", is_flag=True, help="Also files of 4 KiB and more with equal content.")
@click.option("--ci", is_flag=True, help="Exit 1 when a rule is broken.")
@click.option("--ci-config", type=click.Path(path_type=Path), help="Rules in a file, as .dive-ci.")
@click.option("--lowest-efficiency", metavar="0..1", help="[default: 0.9]")
@click.option("--highest-wasted-bytes", metavar="SIZE", help="As 20MB.  [default: disabled]")
@click.option("--highest-user-wasted-percent", metavar="0..1", help="[default: 0.1]")
@json_option
def waste(
    reference: str,
    top: int,
    same: bool,
    ci: bool,
    ci_config: Path | None,
    lowest_efficiency: str | None,
    highest_wasted_bytes: str | None,
    highest_user_wasted_percent: str | None,
    as_json: bool,
) -> None:
    """Bytes that an image carries for nothing, by instruction and by path.

    Efficiency and rules are dive's: every copy of a path that several layers have is wasted. What
    nothing shows any more is told besides. A rule that is "disabled" passes.
    """
    from podarium.exploring import waste
    from podarium.wasterules import Rules

    said = {
        "lowest-efficiency": lowest_efficiency,
        "highest-wasted-bytes": highest_wasted_bytes,
        "highest-user-wasted-percent": highest_user_wasted_percent,
    }
    rules = Rules.of(said, ci_config) if ci or ci_config or any(said.values()) else None
    waste(image_home(), reference, top=top, same=same, rules=rules, as_json=as_json)


@click.command()
@reference
@click.argument("path")
@json_option
def which(reference: str, path: str, as_json: bool) -> None:
    """Which layers have a path, what each did with it, and which one is seen."""
    from podarium.exploring import which

    which(image_home(), reference, path, as_json=as_json)


@click.command()
@reference
@click.argument("path")
@click.option("--layer", type=_NUMBER, help="The file as this layer has it, hidden or not.")
@click.option(
    "-o", "--output", "out", type=click.Path(path_type=Path), help="Into a new file instead."
)
def cat(reference: str, path: str, layer: int | None, out: Path | None) -> None:
    """A file's bytes, taken out of an image that does not run."""
    from podarium.exploring import cat

    cat(image_home(), reference, path, layer=layer, out=out)


@click.command()
@cluster_option
@click.argument("base", shell_complete=completion.images)
@click.argument("now", shell_complete=completion.images)
@click.option("-n", "--namespace", default="default", show_default=True, help="Of pods.")
@click.option("--exit-code", "code", is_flag=True, help="Exit 1 when there is a difference.")
@json_option
def diff(
    paths: ClusterPaths, base: str, now: str, namespace: str, code: bool, as_json: bool
) -> None:
    """What differs between two images, or an image and a running container.

    A container is pod/NAME or pod/NAME/CONTAINER of the cluster; anything else is an image.
    """
    if base.startswith("pod/"):
        raise click.UsageError("a container is compared with an image: IMAGE pod/NAME")
    if now.startswith("pod/"):
        from podarium.exploring import diff_container

        diff_container(paths, base, now, namespace, as_json=as_json, code=code)
        return
    from podarium.exploring import diff

    diff(image_home(), base, now, as_json=as_json, code=code)


EXPLORING = (history, tree, waste, which, cat, diff)
