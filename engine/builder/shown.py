"""What a RUN's mounts show: made ready before the command, let go of after it."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

from engine.builder.mounts import RunMount
from engine.builder.stage import StageBuild, Step
from engine.images.containerfile.copying import Copy, CopyError, Rule
from engine.images.containerfile.ignore import BadPattern
from engine.images.containerfile.tree import NotThere, Tree, context_tree, layers_tree
from engine.images.draft import Draft
from engine.images.layers.dir import unpack
from engine.images.staging import staging
from engine.images.tar import Limits
from engine.runtime.spec import Mount

_COPY = "copy"
_POLL_S = 0.05
_SECRET_MAX = 512 << 10


class Shown:
    """The mounts of one RUN."""

    def __init__(self, build: StageBuild, step: Step, wishes: Sequence[RunMount]) -> None:
        self._build = build
        self._instruction = step.instruction
        self._wishes = wishes
        self._layers: dict[int, tuple[Draft, str]] = {}

    async def identity(self) -> list[str]:
        """Of the files that are bound. Raise ContainerfileError."""
        found = []
        for number, wish in enumerate(self._wishes):
            if wish.origin is not None:
                self._layers[number] = await self._build.source(self._instruction, wish.origin)
            if wish.kind == "bind":
                found.append(await asyncio.to_thread(self._planned, number, wish, None))
        return found

    def variables(self) -> dict[str, str]:
        """Secrets that the command gets as variables."""
        found = {}
        for wish in self._wishes:
            data = self._secret(wish) if wish.kind == "secret" and wish.env else None
            if data is not None:
                found[wish.env] = data.decode(errors="surrogateescape")
        return found

    @asynccontextmanager
    async def mounts(self) -> AsyncIterator[list[Mount]]:
        """Raise ContainerfileError for a source that is not there, OSError."""
        async with AsyncExitStack() as stack:
            found = []
            for number, wish in enumerate(self._wishes):
                mount = await self._mount(number, wish, stack)
                if mount is not None:
                    found.append(mount)
            yield found

    async def _mount(self, number: int, wish: RunMount, stack: AsyncExitStack) -> Mount | None:
        access = "ro" if wish.readonly else "rw"
        if wish.kind == "tmpfs":
            size = (f"size={wish.size}",) if wish.size else ()
            options = ("nosuid", "nodev", "mode=1777", *size)
            return Mount(destination=wish.target, type="tmpfs", source="tmpfs", options=options)
        if wish.kind == "secret":
            source = self._secret_file(wish, stack)
        elif wish.kind == "cache":
            source = await self._cache(wish, stack)
        else:
            folder = stack.enter_context(staging(self._build.site.store.root / "tmp"))
            name = await asyncio.to_thread(self._planned, number, wish, folder)
            source = folder / name
        if source is None:
            return None
        return Mount(
            destination=wish.target, type="bind", source=str(source), options=("rbind", access)
        )

    # bind

    def _planned(self, number: int, wish: RunMount, folder: Path | None) -> str:
        """Copy the files to `folder` and return its part that is shown; or tell their identity."""
        with ExitStack() as stack:
            tree = self._tree(number, stack)
            plan = stack.enter_context(Copy([], now=0))
            try:
                plan.add(tree, tree.find(wish.source), f"/{_COPY}", Rule())
            except (CopyError, NotThere, BadPattern) as error:
                raise self._instruction.statement.error(
                    f"--mount: {error}", wish.word.offset
                ) from None
            if folder is None:
                return plan.identity()
            packed, unpacked = folder / "tar", folder / "fs"
            unpacked.mkdir(mode=0o755)
            with open(packed, "xb") as file:
                plan.write(file.write, None)
            with open(packed, "rb") as file:
                unpack(iter(lambda: file.read(1 << 20), b""), unpacked, [], Limits())
            packed.unlink()
        return f"fs/{_COPY}"

    def _tree(self, number: int, stack: ExitStack) -> Tree:
        site = self._build.site
        if number not in self._layers:
            return stack.enter_context(context_tree(site.options.context, site.rules))
        draft, title = self._layers[number]
        return stack.enter_context(layers_tree(stack.enter_context(site.opened(draft)), title))

    # cache

    async def _cache(self, wish: RunMount, stack: AsyncExitStack) -> Path:
        """The folder of a cache, locked when nobody else may use it meanwhile."""
        base = self._build.site.store.root / "build" / "mounts"
        number = 0
        while True:
            path = base / (f"{wish.cache_name}-{number}" if number else wish.cache_name)
            if not path.exists():
                path.mkdir(parents=True, exist_ok=True)
                os.chown(path, wish.uid, wish.gid)
                path.chmod(wish.mode)
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            how = fcntl.LOCK_SH if wish.sharing == "shared" else fcntl.LOCK_EX
            try:
                fcntl.flock(lock, how | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                if wish.sharing == "private":
                    number += 1
                else:
                    await asyncio.sleep(_POLL_S)  # flock(2) tells nobody when it could be had
                continue
            stack.callback(os.close, lock)
            return path

    # secret

    def _secret(self, wish: RunMount) -> bytes | None:
        data = self._build.site.options.secrets.get(wish.id)
        if data is None and wish.required:
            self._instruction.statement.fail(
                f"--mount: secret {wish.id!r} is required: give --secret id={wish.id},src=FILE",
                wish.word.offset,
            )
        if data is not None and len(data) > _SECRET_MAX:
            self._instruction.statement.fail(
                f"--mount: secret {wish.id!r} has more than {_SECRET_MAX} bytes", wish.word.offset
            )
        return data

    def _secret_file(self, wish: RunMount, stack: AsyncExitStack) -> Path | None:
        data = self._secret(wish)
        if data is None or not wish.target:
            return None
        folder = stack.enter_context(staging(self._build.site.store.root / "tmp"))
        path = folder / "secret"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
            os.fchown(file.fileno(), wish.uid, wish.gid)
            os.fchmod(file.fileno(), wish.mode)
        return path
