"""Containers' files: what they changed, taken out, put in, and kept as an image.

Satisfies the API's FilesGateway without knowing it. All work is done in threads, and archives pass
through a pipe, so that whoever is slow holds back only itself.
"""

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from engine.images import stream
from engine.images.carrying import pack, place
from engine.images.changes import changes
from engine.images.commit import Wish, name_image, take_layer
from engine.images.draft import Draft
from engine.images.errors import BadReference, ImageError, ImageNotFound
from engine.images.readwrite import export, mount_points
from engine.images.rootfs import Rootfs, open_rootfs
from engine.images.store import ImageStore
from engine.images.tar import Parts
from engine.kubelet.node import LocalNode
from engine.runtime.pipe import Reader, Writer
from engine.types.containerfiles import (
    CommitOptions,
    Committed,
    FileChange,
    FileChanges,
    Placed,
)
from engine.types.containers import Container
from engine.types.pods import Pod
from engine.types.status import BadRequest, Conflict, NotFound

_T = TypeVar("_T")
_FREEZING_S = 5.0
_REST_S = 0.002


@dataclass(frozen=True, slots=True)
class Held:
    """A container as its files are asked for. `id` is empty when it does not run."""

    node: LocalNode
    declared: Container
    folder: Path
    id: str
    cgroup: bytes

    def rootfs(self) -> tuple[Rootfs, tuple[Path, ...]]:
        """Its root filesystem, and the image's layers alone, without the init layer."""
        try:
            rootfs = open_rootfs(self.folder)
        except FileNotFoundError:
            raise NotFound("containers", self.declared.name) from None
        return rootfs, rootfs.lowerdirs[1:]

    def stubs(self, layers: tuple[Path, ...]) -> set[Parts]:
        """Where its volumes are mounted and the image has nothing."""
        return mount_points(layers, (m.mount_path for m in self.declared.volume_mounts))


class NodeFiles:
    """`find` finds a container of a pod that has had a life, or raises StatusError."""

    def __init__(self, find: Callable[[Pod, str], Held]) -> None:
        self._find = find

    async def changes(self, pod: Pod, container: str, limit: int) -> FileChanges:
        """What differs from the image, sorted by path. Raise StatusError."""
        held = self._find(pod, container)

        def look() -> FileChanges:
            rootfs, layers = held.rootfs()
            found = changes(rootfs.upper, layers, limit=limit, stubs=held.stubs(layers))
            rows = [FileChange(kind=c.kind, path=c.path, size=c.size) for c in found.changes]
            return FileChanges(changes=rows, size=found.size)

        return await _in_thread(look)

    def export(self, pod: Pod, container: str) -> AsyncIterator[bytes]:
        """Its whole root filesystem as tar, without what is mounted. Raise StatusError."""
        held = self._find(pod, container)

        def write(out: Callable[[bytes], object]) -> None:
            rootfs, layers = held.rootfs()
            export(rootfs.upper, layers, out, stubs=held.stubs(layers))

        return _piped(write)

    async def archive(self, pod: Pod, container: str, path: str) -> AsyncIterator[bytes]:
        """What lies at a path in the running container, as tar. Raise StatusError."""
        root = await self._root(pod, container)
        try:
            async for chunk in _piped(lambda out: pack(root, os.fsencode(path), out)):
                yield chunk
        finally:
            os.close(root)

    async def place(
        self, pod: Pod, container: str, path: str, body: AsyncIterator[bytes], *, keep_owner: bool
    ) -> Placed:
        """Put the members of a tar stream at a path in the running container. Raise StatusError."""
        root = await self._root(pod, container)
        owner = None if keep_owner else (0, 0)
        reader, ours = os.pipe2(os.O_CLOEXEC)

        def work() -> int:
            with open(reader, "rb", buffering=0):
                return place(root, os.fsencode(path), stream.read(reader), owner=owner)

        writer = Writer(ours)
        placing = asyncio.create_task(_in_thread(work))
        try:
            async for chunk in body:
                await writer.write(chunk)
            writer.close()
            return Placed(entries=await placing)
        finally:
            writer.close()
            await asyncio.gather(placing, return_exceptions=True)
            os.close(root)

    async def commit(self, pod: Pod, container: str, options: CommitOptions) -> Committed:
        """Make an image of what a container changed. Raise StatusError."""
        held = self._find(pod, container)
        meta = pod.metadata
        made_by = f"podarium commit {meta.namespace}/{meta.name}/{container}"
        wish = Wish(
            reference=options.reference,
            made_by=made_by,
            created=int(time.time()) if options.epoch is None else options.epoch,
            changes=options.changes,
            author=options.author,
            message=options.message,
            clamp=options.epoch,
        )
        return await _in_thread(lambda: _commit(held, wish, pause=options.pause))

    async def _root(self, pod: Pod, container: str) -> int:
        """A descriptor of the root directory that the running container sees."""
        held = self._find(pod, container)
        pid = await self._pid(held)
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # A pid is another's only after its keeper has been told of the end.
            if await self._pid(held) != pid:
                raise _not_running(container)
        except BaseException:
            os.close(root)
            raise
        return root

    async def _pid(self, held: Held) -> int:
        states = await held.node.runtime.containers() if held.id else []
        for state in states:
            if state.id == held.id and state.running:
                return state.pid
        raise _not_running(held.declared.name)


def _not_running(container: str) -> BadRequest:
    return BadRequest(f"container {container} does not run: files are copied in and out of one that"
                      " does; `podarium export` takes the files of one that has ended")  # fmt: skip


def _commit(held: Held, wish: Wish, *, pause: bool) -> Committed:
    store = held.node.images
    with store.busy():
        rootfs, layers = held.rootfs()
        draft = wish.check(_base(store, held, layers))
        stubs = held.stubs(layers)

        def take() -> Committed:
            layer = take_layer(store, rootfs.upper, layers, stubs=stubs, clamp=wish.clamp)
            image = name_image(store, draft, layer, wish)
            return Committed(
                reference=image.reference,
                digest=str(image.digest),
                layer=str(layer.digest) if layer else "",
                size=layer.size if layer else 0,
            )

        return _while_frozen(held, take) if pause and held.id else take()


def _base(store: ImageStore, held: Held, layers: Collection[Path]) -> Draft:
    """The image that the container stands on. Raise Conflict when its name means another by now."""
    name = held.declared.image
    try:
        image = store.resolve(name)
    except ImageNotFound as error:
        raise Conflict("images", name, f"the container's image is gone: {error}") from None
    ready = store.ready(image)
    if [folder / "fs" for folder in ready] != list(layers):
        why = "the name means another image than the container runs: give that one its name back"
        raise Conflict("images", name, why)
    return Draft.of(store, image)


def _while_frozen(held: Held, work: Callable[[], _T]) -> _T:
    """Do something while the container stands still."""
    hierarchy, path = held.node.hierarchy, held.cgroup
    hierarchy.freeze(path, True)
    try:
        deadline = time.monotonic() + _FREEZING_S
        while not hierarchy.is_frozen(path):
            if time.monotonic() > deadline:
                raise BadRequest(f"container {held.declared.name}: a process in it does not stop;"
                                 " commit it with --no-pause")  # fmt: skip
            time.sleep(_REST_S)
        return work()
    finally:
        hierarchy.freeze(path, False)


async def _in_thread(work: Callable[[], _T]) -> _T:
    """What goes wrong with images and files is the caller's to know."""
    try:
        return await asyncio.to_thread(work)
    except FileNotFoundError as error:
        raise NotFound("files", _about(error)) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EIO, errno.EMFILE, errno.ENFILE):
            raise
        raise BadRequest(f"{_about(error)}: {error.strerror}") from None
    except (BadReference, ImageError) as error:
        raise BadRequest(str(error)) from None


def _about(error: OSError) -> str:
    return os.fsdecode(error.filename) if error.filename else "it"


async def _piped(write: Callable[[Callable[[bytes], object]], object]) -> AsyncIterator[bytes]:
    """What `write` writes, in a thread, as it comes."""
    ours, end = os.pipe2(os.O_CLOEXEC)
    reader = Reader(ours)

    def work() -> None:
        with open(end, "wb") as out:
            write(out.write)

    writing = asyncio.create_task(_in_thread(work))
    try:
        while chunk := await reader.read():
            yield chunk
        await writing
    finally:
        reader.close()  # which ends the writer, if it has not
        await asyncio.gather(writing, return_exceptions=True)
