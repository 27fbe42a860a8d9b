"""A store with the host image in it, and builds of short Containerfiles in it.

One store serves all tests of a process, as making the host image takes longer than most of them.
Whatever builds did, nothing of them but images and cache may be left.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine.builder.build import build
from engine.builder.events import Began, Done, Event, Remark, Said
from engine.builder.site import Options
from engine.home import ClusterPaths
from engine.images.hostimage import build as build_host
from engine.images.layers.view import StackView
from engine.images.store import ImageStore
from engine.images.types import Image
from engine.runtime.cgroup.api import detect

HOST = "podarium/host"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() != 0:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="containers need root"))


@dataclass
class Log:
    """What a build told."""

    events: list[Event] = field(default_factory=list)

    def steps(self, *, cached: bool) -> list[str]:
        """The texts of the steps that were known already, or were not; in the file's order."""
        texts = {e.step: e.text for e in self.events if isinstance(e, Began)}
        makes = ("RUN", "COPY", "ADD", "WORKDIR")
        return sorted(
            texts[e.step]
            for e in self.events
            if isinstance(e, Done) and e.cached == cached and texts[e.step].startswith(makes)
        )

    def said(self) -> str:
        return "\n".join(e.line.decode() for e in self.events if isinstance(e, Said))

    def remarks(self) -> list[str]:
        return [e.text for e in self.events if isinstance(e, Remark)]


@dataclass
class Shop:
    """A home with a store."""

    home: Path
    store: ImageStore

    def context(self, files: Mapping[str, str | bytes]) -> Path:
        """A new build context. A name that ends with "/" is a folder."""
        folder = Path(tempfile.mkdtemp(prefix="ctx", dir=self.home))
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                path.mkdir(exist_ok=True)
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    def build(
        self,
        text: str,
        files: Mapping[str, str | bytes] | Path | None = None,
        log: Log | None = None,
        **options: Any,
    ) -> Image:
        context = files if isinstance(files, Path) else self.context(files or {})
        fields = {"containerfile": text.encode(), "name": "Containerfile", "context": context}
        fields |= options
        watch = (log or Log()).events.append
        return asyncio.run(build(self.store, self.home, Options(**fields), watch))

    def said(
        self, text: str, files: Mapping[str, str | bytes] | None = None, **options: Any
    ) -> str:
        """What the commands of a build said."""
        log = Log()
        self.build(text, files, log, **{"use_cache": False, **options})
        return log.said()

    def read(self, image: Image, path: str) -> bytes:
        with self.store.opened(image) as layers, StackView(layers) as view:
            data = view.read(tuple(path.encode().strip(b"/").split(b"/")), 1 << 20)
        assert data is not None, path
        return data

    def stat(self, image: Image, path: str) -> os.stat_result | None:
        with self.store.opened(image) as layers, StackView(layers) as view:
            found = view.lookup(tuple(path.encode().strip(b"/").split(b"/")))
        return found.status if found else None

    def left(self) -> list[str]:
        """What builds left on the machine."""
        found = [str(path) for path in (self.home / "builds").glob("*/*")]
        found += [str(path) for path in (self.store.root / "tmp").iterdir()]
        found += [
            line
            for line in Path("/proc/self/mountinfo").read_text().splitlines()
            if str(self.home / "builds") in line
        ]
        for place in detect().directories(b"podarium"):
            for path in Path(os.fsdecode(place)).parent.glob("podarium-*"):
                if _is_ours(path, self.home):
                    found.append(str(path))
        return found


def _is_ours(path: Path, home: Path) -> bool:
    name = path.name.removeprefix("podarium-").rpartition("-")[0]
    try:
        return ClusterPaths.of(home / "builds", name).cgroup.decode() == path.name
    except ValueError:
        return False


@pytest.fixture(scope="session")
def shop() -> Iterator[Shop]:
    home = Path(tempfile.mkdtemp(prefix="pdb", dir="/tmp"))
    store = ImageStore(home / "images")
    build_host(store)
    made = Shop(home, store)
    try:
        yield made
        assert made.left() == []
    finally:
        store.close()
        shutil.rmtree(home)
