"""The command line's words for images that are made here: build, save, import."""

from __future__ import annotations

from pathlib import Path

import click

from podarium.imagecommands import image
from podarium.imagehome import image_home

_FORMATS = ("docker-archive", "oci-archive", "oci-dir")


@click.command()
@click.option("-f", "--file", default="", metavar="FILE|-", help="[default: Containerfile]")
@click.option("-t", "--tag", "tags", multiple=True, metavar="REF", help="A name for the image.")
@click.option("--target", default="", metavar="STAGE", help="Build only what this stage needs.")
@click.option("--build-arg", "arguments", multiple=True, metavar="NAME[=VALUE]")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE")
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="id=NAME,src=FILE|env=NAME",
    help="For RUN --mount=type=secret; no layer holds it.",
)
@click.option("--platform", default="", metavar="OS/ARCH[/VARIANT]")
@click.option(
    "--network",
    type=click.Choice(["none", "host"]),
    default="none",
    show_default=True,
    help="What RUN reaches: nothing, or the outside as this machine does.",
)
@click.option("--no-cache", is_flag=True, help="Do every step anew.")
@click.option(
    "--iidfile", type=click.Path(path_type=Path), metavar="FILE", help="Write the digest there."
)
@click.option("-q", "--quiet", is_flag=True, help="Print the digest only.")
@click.argument("context", default=".", type=click.Path(path_type=Path))
def build(
    file: str,
    tags: tuple[str, ...],
    target: str,
    arguments: tuple[str, ...],
    labels: tuple[str, ...],
    secrets: tuple[str, ...],
    platform: str,
    network: str,
    no_cache: bool,
    iidfile: Path | None,
    quiet: bool,
    context: Path,
) -> None:
    """Build an image from a Containerfile: podarium build -t shop:1 .

    No cluster needs to run. SOURCE_DATE_EPOCH in the environment makes the same image anywhere.
    """
    from podarium.building import build

    build(
        context,
        file=file,
        tags=tags,
        target=target,
        arguments=arguments,
        labels=labels,
        secrets=secrets,
        platform=platform,
        network=network,
        use_cache=not no_cache,
        iidfile=iidfile,
        quiet=quiet,
    )


@click.command()
@click.option("-o", "--output", default="-", metavar="FILE|-", help="[default: standard output]")
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), default=_FORMATS[0], show_default=True
)
@click.argument("references", metavar="REF...", nargs=-1, required=True)
def save(output: str, form: str, references: tuple[str, ...]) -> None:
    """Write images to a file that docker, podman, skopeo and `podarium load` read."""
    from podarium.building import save

    save(image_home(), references, output, form)


@click.command(name="import")
@click.option(
    "-c", "--change", "changes", multiple=True, metavar="INSTRUCTION", help="As 'CMD [\"sh\"]'."
)
@click.argument("archive", metavar="ROOTFS.tar|-")
@click.argument("reference", metavar="REF")
def import_(changes: tuple[str, ...], archive: str, reference: str) -> None:
    """Make an image of one layer from an archive of a root filesystem (tar, gzip, zstd)."""
    from podarium.building import import_

    import_(image_home(), archive, reference, changes)


for _command in (build, save, import_):
    image.add_command(_command)

COMMANDS = (build, save)
