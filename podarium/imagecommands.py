"""The command line's words for images, which every cluster of this machine shares.

`podarium image WORD` has them all; those one types every day have a short form of their own. No
cluster needs to run: the store is shared by processes.
"""

from __future__ import annotations

from pathlib import Path

import click

from podarium import completion
from podarium.explorecommands import EXPLORING
from podarium.imagehome import image_home

_CODES = """Exit codes: 0 done; 1 refused, failed, not there, a rule broken or a difference found; 2
wrong usage; 130 interrupted. With --json the answer is one JSON document on standard output, and
everything else is on standard error."""


@click.group(epilog=_CODES)
def image() -> None:
    """Images: get and give them, look into them, clear them away. No cluster needs to run."""


@click.command()
@click.option("-i", "--input", "archive", required=True, type=click.Path(path_type=Path))
def load(archive: Path) -> None:
    """Load images from a docker-archive, an oci-archive or an OCI layout folder."""
    from podarium.images import load

    load(image_home(), archive)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Every image as one JSON document.")
@click.option("-q", "--quiet", is_flag=True, help="Print names only.")
def images(as_json: bool, quiet: bool) -> None:
    """The images that every cluster of this machine shares."""
    from podarium.images import images

    images(image_home(), as_json=as_json, quiet=quiet)


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

    pull(image_home(), reference, platform, quiet=quiet)


@click.command()
@click.argument("reference", metavar="REF", shell_complete=completion.images)
@click.argument("destination", metavar="[DEST]", default="")
@click.option("-q", "--quiet", is_flag=True, help="Print the digest only.")
def push(reference: str, destination: str, quiet: bool) -> None:
    """Give an image to a registry, under its own name or as DEST."""
    from podarium.registry import push

    push(image_home(), reference, destination, quiet=quiet)


@click.command()
@click.argument("reference", metavar="REF", shell_complete=completion.images)
@click.argument("name")
def tag(reference: str, name: str) -> None:
    """Give an image one more name."""
    from podarium.images import tag

    tag(image_home(), reference, name)


@click.command()
@click.argument(
    "references", metavar="REF...", nargs=-1, required=True, shell_complete=completion.images
)
def rmi(references: tuple[str, ...]) -> None:
    """Remove names of images, and with its last name an image."""
    from podarium.images import remove

    remove(image_home(), references)


@click.command()
@click.argument(
    "references", metavar="REF...", nargs=-1, required=True, shell_complete=completion.images
)
def inspect(references: tuple[str, ...]) -> None:
    """All that is known about images, as JSON."""
    from podarium.images import inspect

    inspect(image_home(), references)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def prune(dry_run: bool) -> None:
    """Remove the blobs and layers that no image needs."""
    from podarium.images import prune

    prune(image_home(), dry_run=dry_run)


@click.command()
@click.option("--repair", is_flag=True, help="Remove what is damaged; it is made or pulled again.")
@click.option("--json", "as_json", is_flag=True, help="Every finding as one JSON document.")
def check(repair: bool, as_json: bool) -> None:
    """Read the whole store again: is every byte what its name says? Exits 1 when not."""
    from podarium.images import check

    check(image_home(), repair=repair, as_json=as_json)


@click.command()
@click.option(
    "--include",
    "-i",
    multiple=True,
    metavar="EXE|PATH",
    help="A program by name or path, with its libraries; or a file or folder by its path.",
)
@click.option(
    "--python",
    "packages",
    multiple=True,
    metavar="PKG",
    help="A package of the Python, with all it requires; brings the Python.",
)
@click.option("--with-python", "python", is_flag=True, help="The Python alone.")
@click.option(
    "--interpreter",
    default="",
    metavar="EXE",
    help="Which Python.  [default: the active environment's, then python3]",
)
@click.option("--busybox", is_flag=True, help="This machine's busybox, with all its applets.")
@click.option("-t", "--tag", "name", default="", metavar="REF")
@click.option("-q", "--quiet", is_flag=True, help="Print the digest only.")
def from_host(
    include: tuple[str, ...],
    packages: tuple[str, ...],
    python: bool,
    interpreter: str,
    busybox: bool,
    name: str,
    quiet: bool,
) -> None:
    """An image of this machine's own files: from-host --include git --include sh -t my/git.

    It is for this machine only: no registry is given it. Keys, tokens and passwords are never
    copied. The same files give the same image.
    """
    from engine.images.fromhost import REFERENCE
    from podarium.fromhost import from_host_image

    from_host_image(
        image_home(),
        include,
        packages,
        interpreter,
        name or REFERENCE,
        python=python,
        busybox=busybox,
        quiet=quiet,
    )


for name, command in (
    ("check", check),
    ("from-host", from_host),
    ("ls", images),
    ("inspect", inspect),
    ("load", load),
    ("prune", prune),
    ("pull", pull),
    ("push", push),
    ("rm", rmi),
    ("tag", tag),
    *((command.name, command) for command in EXPLORING),
):
    image.add_command(command, name)

COMMANDS = (image, load, images, pull, push, tag, rmi)
