"""What all stages of one build share: the file, the store, the cache, the place where RUN runs.

A stage, or an image that one begins with, is worked at once for all who need it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from engine.builder.cache import BuildCache, Known
from engine.builder.events import Remark, Watch
from engine.builder.workshop import Workshop
from engine.home import ClusterPaths
from engine.images import hostimage
from engine.images.archive import host_platform
from engine.images.blobs import HashedFile
from engine.images.containerfile.ignore import Rules
from engine.images.containerfile.instructions import Instruction, parse
from engine.images.containerfile.stages import (
    PROXIES,
    BuildError,
    Containerfile,
    Stage,
    arrange,
)
from engine.images.containerfile.tree import rules_of
from engine.images.draft import Draft, plain_layer, timestamp
from engine.images.errors import ImageNotFound
from engine.images.reference import Reference
from engine.images.registry import platforms
from engine.images.staging import staging
from engine.images.store import ImageStore
from engine.images.types import Digest, Platform

Network = Literal["none", "host"]
Work = Callable[["Site", Stage], Coroutine[Any, Any, Draft]]
Fill = Callable[[Callable[[bytes], object]], object]
"""Writes a layer's archive."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is to be built.

    `name` is the Containerfile's as errors show it, `path` where it lies (None: it was read from a
    pipe). `epoch` in Unix seconds. `pull` gets an image that the store does not have. `place` is
    where commands run, when whoever asks has claimed it already; `no_commands` says why none can.
    """

    containerfile: bytes
    name: str
    context: Path
    path: Path | None = None
    tags: tuple[str, ...] = ()
    target: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    platform: Platform | None = None
    network: Network = "none"
    use_cache: bool = True
    epoch: int | None = None
    pull: Callable[[str, Platform], object] | None = None
    place: ClusterPaths | None = None
    no_commands: str = ""


class Site:
    """What all stages of a build share."""

    def __init__(
        self, store: ImageStore, home: Path, options: Options, watch: Watch, work: Work
    ) -> None:
        """`work` builds a stage. Raise ContainerfileError, BuildError for what is wrong already."""
        self.store = store
        self.options = options
        self.watch = watch
        self.now = int(time.time()) if options.epoch is None else options.epoch
        self.given = dict(options.arguments)
        if options.epoch is not None:
            self.given["SOURCE_DATE_EPOCH"] = str(options.epoch)
        self.platform = options.platform or host_platform()
        instructions = parse(options.containerfile, options.name)
        self.file: Containerfile = arrange(instructions, self.given, self.platform, host_platform())
        self.rules: Rules = rules_of(options.context, options.path)
        self._remark_on_arguments(instructions)
        self.cache = BuildCache(store.root, store.blobs)
        self.caches: dict[str, asyncio.Lock] = {}
        self._home = home
        self._work = work
        self._workshop: Workshop | None = None
        self._opening = asyncio.Lock()
        self._stages: dict[int, asyncio.Task[Draft]] = {}
        self._images: dict[tuple[str, str], asyncio.Task[Draft]] = {}
        self._steps = 0

    async def close(self) -> None:
        """End what is still worked at, and unmake the workshop."""
        tasks = [*self._stages.values(), *self._images.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._workshop is not None:
            await self._workshop.close()

    async def stage(self, index: int) -> Draft:
        """What a stage made, once it has."""
        return await asyncio.shield(self.begin(self.file.stages[index]))

    async def image(self, name: str, platform: Platform) -> Draft:
        """An image of the store; it is got when it is not there. Raise ImageError."""
        key = (name, platforms.shown(platform))
        if key not in self._images:
            work = asyncio.to_thread(self._image, name, platform)
            self._images[key] = asyncio.create_task(work, name=name)
        return await asyncio.shield(self._images[key])

    async def workshop(self) -> Workshop:
        """Where containers run. Raise BuildError, OSError."""
        if self.options.no_commands:
            raise BuildError(f"RUN: {self.options.no_commands}")
        async with self._opening:
            if self._workshop is None:
                place = self.options.place
                self._workshop = await asyncio.to_thread(
                    lambda: Workshop(place, None) if place else Workshop.open(self._home)
                )
            return self._workshop

    def step(self) -> int:
        """The number of one more step."""
        self._steps += 1
        return self._steps

    @contextmanager
    def opened(self, draft: Draft) -> Iterator[list[Path]]:
        """A draft's layers, top first, to be read while the context lasts. Blocking."""
        with self.store.opened(draft.image()) as lowerdirs:
            yield lowerdirs

    def known(self, key: str) -> Known | None:
        """What the cache has under a key, if it may be used."""
        return self.cache.find(key) if self.options.use_cache else None

    def keep(self, key: str, layer: Digest | None) -> Known:
        """Remember what a step made."""
        known = Known(layer, timestamp(self.now))
        self.cache.put(key, known)
        return known

    def unchanged(self, draft: Draft) -> Known:
        """The result of a step that had nothing to do."""
        return Known(None, draft.created)

    def store_layer(self, fill: Fill) -> Digest:
        """Store the layer that `fill` writes."""
        with staging(self.store.root / "tmp") as folder:
            file = HashedFile(folder / "layer")
            try:
                fill(file.write)
            finally:
                digest = file.close()
            self.store.blobs.adopt(folder / "layer", digest)
        return digest

    @property
    def clamp(self) -> int | None:
        """What no file of a layer is younger than, in ns."""
        return None if self.options.epoch is None else self.options.epoch * 10**9

    def layered(self, draft: Draft, known: Known, text: str) -> Draft:
        """A draft after a step: with its layer, or with a note that it made none."""
        if known.layer is None:
            return draft.configured(draft.settings, text, known.created)
        layer = plain_layer(known.layer, self.store.blobs.size(known.layer))
        return draft.layered(layer, known.layer, text, known.created)

    def begin(self, stage: Stage) -> asyncio.Task[Draft]:
        """The work at a stage, which is done once."""
        if stage.index not in self._stages:
            work = self._work(self, stage)
            self._stages[stage.index] = asyncio.create_task(work, name=stage.title)
        return self._stages[stage.index]

    def _image(self, name: str, platform: Platform) -> Draft:
        try:
            image = self.store.resolve(name)
        except ImageNotFound:
            if str(Reference.parse(name)) == str(Reference.parse(hostimage.REFERENCE)):
                image = hostimage.build(self.store).image
            elif self.options.pull is None:
                raise
            else:
                self.options.pull(name, platform)
                image = self.store.resolve(name)
        there = Platform(os=image.os, architecture=image.architecture)
        if (there.os, there.architecture) != (platform.os, platform.architecture):
            raise BuildError(
                f"{name}: is for {platforms.shown(there)}, not {platforms.shown(platform)}"
            )
        return Draft.of(self.store, image)

    def _remark_on_arguments(self, instructions: list[Instruction]) -> None:
        declared = {name.text for i in instructions if i.name == "ARG" for name, _ in i.pairs}
        for name in self.options.arguments:
            if name not in declared and name not in PROXIES and name != "SOURCE_DATE_EPOCH":
                self.watch(Remark(f"--build-arg {name}: no ARG {name} in {self.options.name}"))
