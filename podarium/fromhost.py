"""`podarium image from-host`: an image of chosen parts of this machine."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

from engine.images.errors import ImageError
from engine.images.fromhost import Wish, from_host
from podarium.failure import Failure
from podarium.images import store_of
from podarium.output import bytes_text
from tui.render.text import inert


def from_host_image(
    home: Path,
    include: tuple[str, ...],
    packages: tuple[str, ...],
    interpreter: str,
    reference: str,
    *,
    python: bool,
    busybox: bool,
    quiet: bool,
) -> None:
    wish = Wish(
        include=include,
        python=_interpreter(interpreter) if python or packages or interpreter else "",
        packages=packages,
        busybox=busybox,
        reference=reference,
        path=tuple(f for f in os.environ.get("PATH", "").split(":") if os.path.isabs(f)),
    )
    try:
        made = from_host(store_of(home), wish)
    except (ImageError, OSError) as error:
        raise Failure(str(error)) from None
    for line in made.missing:
        click.echo(f"this machine lacks {inert(line)}", err=True)
    for line in made.left_out:
        click.echo(f"left out: {inert(line)}", err=True)
    if quiet:
        click.echo(made.image.digest)
    else:
        size = bytes_text(made.image.size)
        click.echo(f"{made.image.reference} ({made.image.digest}): {size}, for this machine only")


def _interpreter(named: str) -> str:
    """The Python that is meant: named, the active environment's, the first in PATH, or ours."""
    if named:
        found = shutil.which(named)
        if found is None:
            raise Failure(f"{named}: is no program in PATH", 2)
        return os.path.abspath(found)
    active = os.environ.get("VIRTUAL_ENV")
    if active and os.access(f"{active}/bin/python", os.X_OK):
        return os.path.abspath(f"{active}/bin/python")
    return os.path.abspath(shutil.which("python3") or sys.executable)
