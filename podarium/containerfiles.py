"""Containers' files from the shell: what changed, taken out, put in, and kept as an image."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

import click

from engine.client.client import Client
from engine.client.files import ContainerFiles
from engine.home import ClusterPaths
from engine.images import stream
from engine.images.carrying import pack
from engine.images.errors import ImageError
from engine.images.spread import spread
from engine.runtime.pipe import Reader, Writer
from engine.types.containerfiles import CommitOptions
from engine.types.core import Pod
from podarium.connection import ask
from podarium.failure import Failure
from podarium.output import tame
from podarium.sessions import default_container

_LETTERS = {"added": "A", "changed": "C", "deleted": "D"}
T = TypeVar("T")


def diff(paths: ClusterPaths, container: str, namespace: str, *, as_json: bool) -> None:
    found = _with(paths, container, namespace, lambda files: files.changes())
    if as_json:
        from engine.types import codec

        click.echo(codec.encode(found))
        return
    for change in found.changes:
        line = f"{_LETTERS[change.kind]} {change.path}"
        click.echo(tame(line) if sys.stdout.isatty() else os.fsencode(line))


def export(paths: ClusterPaths, container: str, namespace: str, output: str) -> None:
    if output == "-" and sys.stdout.isatty():
        raise Failure("an archive is not for a terminal: give -o FILE, or pipe it", 2)

    async def work(files: ContainerFiles) -> None:
        async with files.export() as chunks:
            if output == "-":
                await _into(chunks, sys.stdout.buffer.write)
                sys.stdout.buffer.flush()
                return
            # Complete, or not there at all.
            temporary = Path(f"{output}.part")
            try:
                with open(temporary, "wb") as file:
                    await _into(chunks, file.write)
                temporary.rename(output)
            finally:
                temporary.unlink(missing_ok=True)

    _with(paths, container, namespace, work)


def commit(
    paths: ClusterPaths,
    container: str,
    reference: str,
    namespace: str,
    *,
    changes: Sequence[str],
    author: str,
    message: str,
    pause: bool,
) -> None:
    from podarium.building import epoch

    options = CommitOptions(
        reference=reference,
        changes=list(changes),
        author=author,
        message=message,
        pause=pause,
        epoch=epoch(),
    )
    done = _with(paths, container, namespace, lambda files: files.commit(options))
    what = f"{done.size / 1e6:.1f} MB changed" if done.layer else "nothing changed"
    click.echo(f"committed {done.reference} ({done.digest}): {what}")


def copy(
    paths: ClusterPaths, source: str, target: str, namespace: str, *, keep_owner: bool
) -> None:
    from_container, to_container = _remote(source), _remote(target)
    if (from_container is None) == (to_container is None):
        raise Failure("one of the two must be in a container: POD[/CONTAINER]:PATH", 2)
    if from_container is not None:
        container, path = from_container
        _with(paths, container, namespace, lambda f: _out(f, path, target, keep_owner=keep_owner))
    elif to_container is not None:
        container, path = to_container
        _with(paths, container, namespace, lambda f: _in(f, source, path, keep_owner=keep_owner))


def _remote(text: str) -> tuple[str, str] | None:
    """POD[/CONTAINER] and a path; None for a path of this machine."""
    name, colon, path = text.partition(":")
    if not colon or text.startswith((".", "/")):
        return None
    return name, path if path.startswith("/") else f"/{path}"


async def _out(files: ContainerFiles, path: str, target: str, *, keep_owner: bool) -> None:
    async with files.archive(path) as chunks:
        if target == "-":
            await _into(chunks, sys.stdout.buffer.write)
            sys.stdout.buffer.flush()
            return
        inside = os.path.isdir(target)
        folder, rename = (target, "") if inside else os.path.split(os.path.abspath(target))
        reader, ours = os.pipe2(os.O_CLOEXEC)
        writer = Writer(ours)

        def work() -> None:
            root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                with open(reader, "rb", buffering=0):
                    read, new = stream.read(reader), os.fsencode(rename)
                    spread(read, root, rename=new, chown=keep_owner)
            finally:
                os.close(root)

        spreading = asyncio.create_task(_files_in_thread(work))
        try:
            async for chunk in chunks:
                await writer.write(chunk)
            writer.close()
            await spreading
        finally:
            writer.close()
            await asyncio.gather(spreading, return_exceptions=True)


async def _in(files: ContainerFiles, source: str, path: str, *, keep_owner: bool) -> None:
    async with aclosing(_packed(source)) as chunks:
        await files.place(path, chunks, keep_owner=keep_owner)


async def _packed(source: str) -> AsyncGenerator[bytes, None]:
    """A path of this machine as tar; or the tar that comes in by standard input."""
    if source == "-":
        while chunk := await asyncio.to_thread(os.read, 0, stream.CHUNK):
            yield chunk
        return
    if not os.path.lexists(source):
        raise Failure(f"{source}: No such file or directory")
    parent, name = os.path.split(source.rstrip("/") or "/")
    whole = os.path.join(os.path.realpath(parent or "."), name)
    ours, end = os.pipe2(os.O_CLOEXEC)
    reader = Reader(ours)

    def work() -> None:
        root = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with open(end, "wb") as out:
                pack(root, os.fsencode(whole), out.write)
        finally:
            os.close(root)

    packing = asyncio.create_task(_files_in_thread(work))
    try:
        while chunk := await reader.read():
            yield chunk
        await packing
    finally:
        reader.close()
        await asyncio.gather(packing, return_exceptions=True)


async def _files_in_thread(work: Callable[[], None]) -> None:
    try:
        await asyncio.to_thread(work)
    except (OSError, ImageError) as error:
        raise Failure(str(error)) from None


async def _into(chunks: AsyncIterator[bytes], write: Callable[[bytes], Any]) -> None:
    async for chunk in chunks:
        await asyncio.to_thread(write, chunk)


def _with(
    paths: ClusterPaths,
    container: str,
    namespace: str,
    work: Callable[[ContainerFiles], Awaitable[T]],
) -> T:
    """Do something with the files of POD[/CONTAINER]."""

    async def talk(client: Client) -> T:
        pod, _, named = container.removeprefix("pod/").partition("/")
        name = named or default_container(await client.get(Pod, pod, namespace))
        return await work(ContainerFiles(client, namespace, pod, name))

    return ask(paths, talk)
