"""Images from the shell: load them, list them."""

from __future__ import annotations

import os
from pathlib import Path

import click

from engine.images.store import ImageStore
from podarium.failure import Failure


def _store(home: Path) -> ImageStore:
    if os.geteuid() != 0:
        raise Failure(f"the image store in {home} belongs to root: sudo podarium …")
    return ImageStore(home / "images")


def load(home: Path, archive: Path) -> None:
    from engine.images.errors import ImageError

    try:
        for image in _store(home).load(archive):
            click.echo(f"loaded {image.reference} ({image.digest})")
    except (ImageError, OSError) as error:
        raise Failure(f"{archive}: {error}") from None


def images(home: Path) -> None:
    lines = [("REFERENCE", "DIGEST", "LAYERS", "SIZE")]
    for image in _store(home).images():
        size = sum(layer.unpacked_size or layer.size for layer in image.layers)
        digest = str(image.digest).removeprefix("sha256:")[:12]
        lines.append((image.reference, digest, str(len(image.layers)), f"{size / 1e6:.1f} MB"))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("   ".join(padded).rstrip())
