"""Images made from the shell: built from a Containerfile, saved to files, imported from them.

What is happening goes to stderr, what became of it to stdout.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.home import default_home
from engine.images.errors import ImageError
from engine.images.types import Platform
from engine.runtime.rootless.enter import NotEntered
from podarium.failure import Failure
from podarium.imagehome import image_home
from podarium.images import store_of
from podarium.output import tame

if TYPE_CHECKING:
    from engine.builder.site import Options

_INTERRUPTED = 130
_FILES = ("Containerfile", "Dockerfile")


def build(
    context: Path,
    *,
    file: str,
    tags: Sequence[str],
    target: str,
    arguments: Sequence[str],
    labels: Sequence[str],
    secrets: Sequence[str],
    platform: str,
    network: str,
    use_cache: bool,
    iidfile: Path | None,
    quiet: bool,
) -> None:
    from engine.builder.site import Options
    from engine.images.registry import platforms

    context = context.absolute()
    if not context.is_dir():
        raise Failure(f"{context}: the build context must be a folder", 2)
    name, path, data = _containerfile(context, file)
    try:
        options = Options(
            containerfile=data,
            name=name,
            path=path,
            context=context,
            tags=tuple(tags),
            target=target,
            arguments=_pairs(arguments, "--build-arg", inherited=True),
            labels=_pairs(labels, "--label"),
            secrets=dict(_secret(text) for text in secrets),
            platform=platforms.parse(platform) if platform else None,
            network="host" if network == "host" else "none",
            use_cache=use_cache,
            epoch=epoch(),
            pull=_puller(default_home()),
        )
        digest, reference = _as_who_may(options, quiet=quiet)
    except (ImageError, OSError) as error:
        raise Failure(str(error)) from None
    if iidfile is not None:
        iidfile.write_text(digest)
    click.echo(digest if quiet else f"built {reference} ({digest})")


def _as_who_may(options: Options, *, quiet: bool) -> tuple[str, str]:
    """Build as root; as an ordinary user in namespaces of his: of his ids alone when no command is
    to be run, and else such as a cluster of his has, which a process of its own enters."""
    from engine.builder.workshop import claim
    from engine.images.containerfile.instructions import parse
    from engine.linux.mountns import own_mount_namespace
    from engine.runtime.rootless.enter import enter, ordinary
    from engine.teardown import teardown

    if not ordinary():
        own_mount_namespace()  # what is mounted for containers goes with us
        return _build(options, quiet=quiet)
    instructions = parse(options.containerfile, options.name)
    if all(instruction.name != "RUN" for instruction in instructions):
        image_home()
        why = "the image's ONBUILD runs commands: name one in the Containerfile, or build as root"
        return _build(replace(options, no_commands=why), quiet=quiet)
    paths, lock = claim(default_home())

    def inside() -> tuple[str, str]:
        enter(paths)
        own_mount_namespace()
        return _build(replace(options, place=paths), quiet=quiet)

    try:
        return _in_child(inside)
    finally:
        teardown(paths, purge=True)
        os.close(lock)


def _in_child(work: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    """What `work` gives, done by a child, whose failure becomes ours."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with open(writer, "w") as told:
                try:
                    json.dump([0, *work()], told)
                    code = 0
                except (ImageError, OSError, NotEntered) as error:
                    json.dump([1, str(error)], told)
                except Failure as failure:
                    json.dump([failure.code, str(failure)], told)
        finally:
            os._exit(code)
    os.close(writer)
    text = ""
    with open(reader) as told:
        # Interrupted, as we are, it ends by itself and says so.
        with suppress(KeyboardInterrupt):
            text = told.read()
        text += told.read()
    os.waitpid(child, 0)
    code, *words = json.loads(text or '[1, "the build ended without a word"]')
    if code:
        raise Failure(words[0], code)
    digest, reference = words
    return digest, reference


def _build(options: Options, *, quiet: bool) -> tuple[str, str]:
    from engine.builder.build import build
    from engine.builder.events import unwatched
    from engine.runtime.errors import RuntimeFailure

    home = default_home()
    watch = unwatched if quiet else _Progress().show
    try:
        with closing(store_of(home)) as store:
            image = asyncio.run(build(store, home, options, watch))
    except RuntimeFailure as error:
        raise Failure(str(error)) from None
    except KeyboardInterrupt:
        raise Failure("interrupted", _INTERRUPTED) from None
    return str(image.digest), image.reference


def save(home: Path, references: Sequence[str], output: str, form: str) -> None:
    from engine.images.save import FORMATS, save, save_file

    (chosen,) = (known for known in FORMATS if known == form)
    try:
        if output != "-":
            save_file(store_of(home), references, Path(output), chosen)
            return
        if chosen == "oci-dir":
            raise Failure("oci-dir is a folder: it cannot go to standard output", 2)
        if sys.stdout.isatty():
            raise Failure("an archive is not for a terminal: give -o FILE, or pipe it", 2)
        save(store_of(home), references, sys.stdout.buffer.write, chosen)
        sys.stdout.buffer.flush()
    except (ImageError, OSError) as error:
        raise Failure(str(error)) from None


def import_(home: Path, archive: str, reference: str, changes: Sequence[str]) -> None:
    from engine.images import stream
    from engine.images.containerfile.settings import changed
    from engine.images.draft import timestamp
    from engine.images.rootfsarchive import import_rootfs

    at = epoch()
    created = timestamp(time.time() if at is None else at)
    try:
        settings = changed({}, list(changes))
        with open(0 if archive == "-" else archive, "rb", buffering=0) as file:
            chunks = stream.read(file.fileno())
            made_by = f"podarium image import {'-' if archive == '-' else Path(archive).name}"
            image = import_rootfs(
                store_of(home), chunks, reference, settings, made_by=made_by, created=created
            )
    except (ImageError, OSError) as error:
        raise Failure(str(error)) from None
    click.echo(f"imported {image.reference} ({image.digest})")


def _containerfile(context: Path, file: str) -> tuple[str, Path | None, bytes]:
    """Its name, where it lies, and its bytes."""
    if file == "-":
        return "Containerfile", None, sys.stdin.buffer.read()
    paths = [Path(file)] if file else [context / name for name in _FILES]
    for path in paths:
        try:
            return file or path.name, path, path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Failure(f"{path}: {error.strerror}") from None
    raise Failure(f"no {' or '.join(map(str, paths))}: name it with -f FILE", 2)


def _pairs(texts: Sequence[str], option: str, *, inherited: bool = False) -> dict[str, str]:
    """NAME=VALUE; a NAME alone is taken from the environment where that is meant."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not (equals or inherited):
            raise Failure(f"{option} {text!r}: NAME=VALUE is expected", 2)
        if equals or name in os.environ:
            found[name] = value if equals else os.environ[name]
    return found


def _secret(text: str) -> tuple[str, bytes]:
    """id=NAME,src=FILE or id=NAME,env=VARIABLE."""
    fields = dict(part.partition("=")[::2] for part in text.split(","))
    id, kind = fields.get("id", ""), fields.get("type", "file")
    path = fields.get("src") or fields.get("source")
    variable = fields.get("env") or (path if kind == "env" else None)
    if not id or not (path or variable):
        raise Failure(f"--secret {text!r}: id=NAME,src=FILE or id=NAME,env=VARIABLE is expected", 2)
    if variable:
        if variable not in os.environ:
            raise Failure(f"--secret {id}: the environment has no {variable}", 2)
        return id, os.environb[os.fsencode(variable)]
    try:
        return id, Path(path or "").read_bytes()
    except OSError as error:
        raise Failure(f"--secret {id}: {path}: {error.strerror}") from None


def epoch() -> int | None:
    """SOURCE_DATE_EPOCH (reproducible-builds.org), in Unix seconds."""
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if not text:
        return None
    if not text.isdecimal() or len(text) > 11:
        raise Failure(f"SOURCE_DATE_EPOCH={text!r}: a number of seconds is expected", 2)
    return int(text)


def _puller(home: Path) -> Callable[[str, Platform], object]:
    def get(reference: str, platform: Platform) -> object:
        from engine.images.registry.pull import pull
        from engine.images.registry.session import Session

        return pull(store_of(home), reference, Session.of(home, os.environ), platform=platform)

    return get


class _Progress:
    """A line for everything that happens, each with its step's number, as stages run at once."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()

    def show(self, event: object) -> None:
        from engine.builder.events import Began, Done, Remark, Said

        if isinstance(event, Began):
            where = f"[{event.stage} {event.number}/{event.count}]"
            self._say(f"#{event.step} {where} {event.text}")
        elif isinstance(event, Said):
            self._say(f"#{event.step} | {event.line.decode(errors='replace')}")
        elif isinstance(event, Done):
            what = "cached" if event.cached else f"done in {event.seconds:.1f} s"
            made = f", {event.size / 1e6:.1f} MB" if event.layer is not None else ""
            self._say(f"#{event.step} {what}{made}")
        elif isinstance(event, Remark):
            self._say(f"note: {event.text}")

    def _say(self, text: str) -> None:
        click.echo(tame(text) if self._terminal else text, err=True)
