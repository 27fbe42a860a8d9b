"""Images from the shell: load them, list them, name them, remove them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from engine.images.store import ImageStore
from engine.kubelet.published import described
from engine.types import codec
from podarium.failure import Failure
from podarium.output import bytes_text, print_table
from tui.render.text import inert


def store_of(home: Path) -> ImageStore:
    return ImageStore(home / "images")


def load(home: Path, archive: Path) -> None:
    from engine.images.errors import ImageError

    try:
        for image in store_of(home).load(archive):
            click.echo(f"loaded {image.reference} ({image.digest})")
    except (ImageError, OSError) as error:
        raise Failure(f"{archive}: {error}") from None


def images(home: Path, *, as_json: bool = False, quiet: bool = False) -> None:
    store = store_of(home)
    stored, usage = store.images(), store.usage()
    if as_json:
        click.echo(codec.encode(described(stored)))
        return
    if quiet:
        for image in stored:
            click.echo(image.reference)
        return
    rows: list[tuple[str, ...]] = [
        ("REFERENCE", "DIGEST", "LAYERS", "SIZE", "OWN", "SHARED", "CREATED")
    ]
    told_of = {told.digest: told for told in described(stored)}
    for image in stored:
        told, uses = told_of[str(image.digest)], usage[image.digest]
        sizes = (image.size, uses.unique, uses.shared)
        rows.append(
            (
                image.reference,
                image.digest.hex[:12],
                str(len(image.layers)),
                *map(bytes_text, sizes),
                (told.created or "-")[:10],
            )
        )
    print_table(rows, right={2, 3, 4, 5})


def inspect(home: Path, references: Sequence[str]) -> None:
    """Everything about images, as JSON."""
    from engine.images.errors import ImageError

    store = store_of(home)
    try:
        wanted = [store.resolve(reference).digest for reference in references]
    except ImageError as error:
        raise Failure(str(error)) from None
    told = {image.digest: image for image in described(store.images())}
    found = [told[str(digest)] for digest in wanted]
    click.echo(msgspec.json.format(codec.encode(found), indent=2))


def tag(home: Path, reference: str, name: str) -> None:
    from engine.images.errors import ImageError

    store = store_of(home)
    try:
        with store.busy():
            image = store.add(name, store.resolve(reference).digest)
    except ImageError as error:
        raise Failure(str(error)) from None
    click.echo(f"{image.reference} is {image.digest}")


def prune(home: Path, *, dry_run: bool) -> None:
    """Remove what no image needs, or only say what it is."""
    store = store_of(home)
    try:
        if dry_run:
            found = store.garbage()
            what = f"{len(found.blobs)} blobs and {len(found.layers)} layers"
            click.echo(f"would remove {what} that no image needs ({bytes_text(found.size)})")
            return
        freed = store.gc()
    except OSError as error:
        raise Failure(str(error)) from None
    what = f"{freed.blobs} blobs and {freed.layers} layers"
    click.echo(f"removed {what} that no image needs ({bytes_text(freed.size)} freed)")


def check(home: Path, *, repair: bool, as_json: bool) -> None:
    """Exit 1 when something is not as it should be, also when it was repaired."""
    try:
        findings = store_of(home).check(repair=repair)
    except OSError as error:
        raise Failure(str(error)) from None
    if as_json:
        told = [{"what": f.what, "reason": f.reason, "images": list(f.names)} for f in findings]
        click.echo(codec.encode({"findings": told, "repaired": repair}))
    elif not findings:
        click.echo("every blob and layer is what its name says")
    for finding in findings if not as_json else ():
        click.echo(inert(str(finding)))
    if findings:
        if not as_json and not repair:
            click.echo("podarium image check --repair removes what is damaged", err=True)
        sys.exit(1)


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
            click.echo(f"removed {name} ({bytes_text(freed.size)} freed)")
    if failures:
        raise Failure("; ".join(failures))
