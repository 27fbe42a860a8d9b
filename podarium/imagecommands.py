"""The command line's words for images, which every cluster of this machine shares.

`podarium image WORD` has them all; those one types every day have a short form of their own. No
cluster needs to run: the store is shared by processes.
"""

from __future__ import annotations

from pathlib import Path

import click

from engine.home import default_home


@click.command()
@click.option("-i", "--input", "archive", required=True, type=click.Path(path_type=Path))
def load(archive: Path) -> None:
    """Load images from a docker-archive, an oci-archive or an OCI layout folder."""
    from podarium.images import load

    load(default_home(), archive)


@click.command()
def images() -> None:
    """The images that every cluster of this machine shares."""
    from podarium.images import images

    images(default_home())


@click.command()
@click.argument("reference", metavar="REF")
@click.option("--platform", default="", metavar="OS/ARCH[/VARIANT]", help="As linux/arm64/v8.")
@click.option("-q", "--quiet", is_flag=True, help="Print the digest only.")
def pull(reference: str, platform: str, quiet: bool) -> None:
    """Get an image from a registry: podarium pull debian:12. A pull that broke is gone on with.

    Mirrors, insecure registries and certificates: registries.toml in the home. Credentials: those
    of docker and podman.
    """
    from podarium.registry import pull

    pull(default_home(), reference, platform, quiet=quiet)


@click.command()
@click.argument("reference", metavar="REF")
@click.argument("destination", metavar="[DEST]", default="")
@click.option("-q", "--quiet", is_flag=True, help="Print the digest only.")
def push(reference: str, destination: str, quiet: bool) -> None:
    """Give an image to a registry, under its own name or as DEST."""
    from podarium.registry import push

    push(default_home(), reference, destination, quiet=quiet)


@click.command()
@click.argument("reference", metavar="REF")
@click.argument("name")
def tag(reference: str, name: str) -> None:
    """Give an image one more name."""
    from podarium.images import tag

    tag(default_home(), reference, name)


@click.command()
@click.argument("references", metavar="REF...", nargs=-1, required=True)
def rmi(references: tuple[str, ...]) -> None:
    """Remove names of images, and with its last name an image."""
    from podarium.images import remove

    remove(default_home(), references)


@click.group()
def image() -> None:
    """Images: get and give them, look into them, clear them away."""


for name, command in (
    ("ls", images),
    ("load", load),
    ("pull", pull),
    ("push", push),
    ("tag", tag),
    ("rm", rmi),
):
    image.add_command(command, name)

COMMANDS = (image, load, images, pull, push, tag, rmi)
