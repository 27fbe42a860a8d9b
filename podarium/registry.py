"""Images from and to registries, from the shell.

What is happening goes to stderr: bars on a terminal, a line for each thing elsewhere. What became
of it goes to stdout.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from engine.images.errors import ImageError
from engine.images.registry import platforms
from engine.images.registry.progress import (
    BlobProgress,
    Event,
    Resolved,
    Retrying,
    State,
    Watch,
    unwatched,
)
from engine.images.registry.session import Session
from engine.images.types import Digest
from podarium.failure import Failure
from podarium.images import store_of
from podarium.output import bytes_text

_INTERRUPTED = 130
_DIGITS = 12


def pull(home: Path, reference: str, platform: str, *, quiet: bool) -> None:
    from engine.images.registry.pull import pull

    with _failures(), _watching("pulling", quiet) as watch:
        wanted = platforms.parse(platform) if platform else None
        session = Session.of(home, os.environ, watch=watch)
        done = pull(store_of(home), reference, session, platform=wanted)
    if quiet:
        click.echo(done.digest)
        return
    how = f"{bytes_text(done.transferred)} in {done.seconds:.1f} s" if done.new else "is up to date"
    click.echo(f"{done.image.reference} ({done.digest}): {how}")


def push(home: Path, reference: str, destination: str, *, quiet: bool) -> None:
    from engine.images.registry.push import push

    with _failures(), _watching("pushing", quiet) as watch:
        session = Session.of(home, os.environ, watch=watch)
        done = push(store_of(home), reference, session, destination=destination)
    if quiet:
        click.echo(done.digest)
        return
    what = f"{bytes_text(done.transferred)} in {done.seconds:.1f} s"
    click.echo(f"{done.reference} ({done.digest}): {what}")


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except (ImageError, OSError) as error:
        raise Failure(str(error)) from None
    except KeyboardInterrupt:
        raise Failure("interrupted; the next try goes on from here", _INTERRUPTED) from None


@contextmanager
def _watching(doing: str, quiet: bool) -> Iterator[Watch]:
    if quiet:
        yield unwatched
    elif sys.stderr.isatty():
        with _Bars(doing) as bars:
            yield bars.show
    else:
        yield _lines(doing)


class _Bars:
    """One bar a blob."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
        )
        self._tasks: dict[Digest, TaskID] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, event: Event) -> None:
        if isinstance(event, Resolved):
            self._say(f"{self._doing} {event.reference} ({event.digest}){_left(event)}")
            for blob in event.blobs:
                name = f"{blob.kind:6} {_short(blob.digest)}"
                self._tasks[blob.digest] = self._progress.add_task(name, total=blob.size, note="")
        elif isinstance(event, Retrying):
            self._say(f"{event.why}; again in {event.seconds:.1f} s")
        elif event.digest in self._tasks:
            task = self._tasks[event.digest]
            self._progress.update(task, completed=event.done, note=_note(event))

    def _say(self, text: str) -> None:
        self._progress.console.print(Text(text), highlight=False)


def _left(event: Resolved) -> str:
    return f"; {event.allowance}" if event.allowance else ""


def _lines(doing: str) -> Watch:
    def show(event: Event) -> None:
        if isinstance(event, Resolved):
            click.echo(f"{doing} {event.reference} ({event.digest}){_left(event)}", err=True)
        elif isinstance(event, Retrying):
            click.echo(f"{event.why}; again in {event.seconds:.1f} s", err=True)
        elif event.state in (State.DONE, State.PRESENT):
            what = f"{event.kind} {_short(event.digest)} {bytes_text(event.size)}"
            click.echo(f"{what} {_note(event)}", err=True)

    return show


def _note(blob: BlobProgress) -> str:
    if blob.state is State.PRESENT:
        return "already there"
    resumed = f"gone on from {bytes_text(blob.resumed)}" if blob.resumed else ""
    return resumed or ("done" if blob.state is State.DONE else "")


def _short(digest: Digest) -> str:
    return digest.hex[:_DIGITS]
