"""Images from the shell: load them, list them, name them, remove them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from engine.images.store import ImageStore
from podarium.failure import Failure


def store_of(home: Path) -> ImageStore:
    """Raise Failure for whom it does not belong to."""
    if os.geteuid() != 0:
        raise Failure(f"the image store in {home} belongs to root: sudo podarium …")
    return ImageStore(home / "images")


def load(home: Path, archive: Path) -> None:
    from engine.images.errors import ImageError

    try:
        for image in store_of(home).load(archive):
            click.echo(f"loaded {image.reference} ({image.digest})")
    except (ImageError, OSError) as error:
        raise Failure(f"{archive}: {error}") from None


def images(home: Path) -> None:
    lines = [("REFERENCE", "DIGEST", "LAYERS", "SIZE")]
    for image in store_of(home).images():
        size = sum(layer.unpacked_size or layer.size for layer in image.layers)
        digest = str(image.digest).removeprefix("sha256:")[:12]
        lines.append((image.reference, digest, str(len(image.layers)), f"{size / 1e6:.1f} MB"))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("   ".join(padded).rstrip())


def tag(home: Path, reference: str, name: str) -> None:
    from engine.images.errors import ImageError

    store = store_of(home)
    try:
        with store.busy():
            image = store.add(name, store.resolve(reference).digest)
    except ImageError as error:
        raise Failure(str(error)) from None
    click.echo(f"{image.reference} is {image.digest}")


def remove(home: Path, references: Sequence[str]) -> None:
    from engine.images.errors import ImageError

    store, failures = store_of(home), []
    for reference in references:
        try:
            name = reference
            if reference.startswith("sha256:"):
                name = store.resolve(reference).reference
            freed = store.remove(name)
        except (ImageError, OSError) as error:
            failures.append(str(error))
        else:
            click.echo(f"removed {name} ({freed.size / 1e6:.1f} MB freed)")
    if failures:
        raise Failure("; ".join(failures))
