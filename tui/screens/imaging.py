"""Images on the main screen: asks the engine what is in them, and has work done on them.

What comes too late for the place it was asked for is dropped. Work goes on when one looks away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from os.path import splitext
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from engine.client.errors import Unreachable
from engine.types import codec
from engine.types.explored import Difference, Layers, TreePage, WasteReport, Which
from engine.types.images import Image
from engine.types.imagework import ImageEvent
from engine.types.status import StatusError

from ..model import saved
from ..model.files import MOST, Files, Look
from ..model.filter import FilterError
from ..model.images import reference
from ..model.imagework import ImageWork
from ..model.place import Place
from ..pages.imagefiles import (
    TEXT_MOST,
    change_text,
    difference_text,
    file_text,
    stack,
    waste_text,
    which_text,
)
from ..render.numbers import size
from ..render.spans import Block

if TYPE_CHECKING:
    from .main import MainScreen

_T = TypeVar("_T")
PIECE = 1 << 20
EXTRACT_MOST = 256 << 20
SIZES = (0, 10 << 10, 1 << 20, 10 << 20)
"""What `least` goes through, bytes."""


class Imaging:
    """`files` is the tree that is shown, or was last."""

    def __init__(self, screen: MainScreen) -> None:
        self._screen = screen
        self.files = Files("", self._page_of(""))
        self.work: dict[tuple[str, str], ImageWork] = {}
        self._key = ""
        screen.pages.stack = lambda width, height, target: stack(self.files, width)

    # -- the tree ----------------------------------------------------------------------------

    def open_files(self, place: Place, path: str) -> None:
        """Show the tree of an image, with the cursor on a path."""
        screen = self._screen
        layer = int(place.part) if place.part else 0
        if self._key != place.key or (layer and layer != self.files.look.layer):
            image = self._image(place)
            digest = image.digest if image is not None else ""
            name = reference(image) if image is not None else place.name
            self._key, self.files = place.key, Files(name, self._page_of(digest))
            self._load(self._start(self.files, digest, layer))
        screen.body.files.show(self.files, path)

    async def _start(self, files: Files, digest: str, layer: int) -> None:
        raw = await self._get(digest, "layers")
        await files.start(codec.decode(Layers, raw), layer)

    def move(self, dx: int, dy: int) -> None:
        """Up and down the tree; right unfolds, left folds or goes to the directory above."""
        table, files = self._screen.body.files, self.files
        if dy:
            table.move(dy)
            return
        row = files.row(table.key)
        if row is None:
            return
        opened = files.is_open(row.path)
        if dx > 0 and row.kind == "directory" and not opened:
            self._load(files.open(row.path))
        elif dx < 0 and opened:
            files.close(row.path)
            table.update()
        elif dx < 0 and files.above(row.path) in files.order:
            table.move_to(files.order.index(files.above(row.path)))

    def fold(self) -> None:
        """Unfold the directory under the cursor, or fold it."""
        row = self.files.row(self._screen.body.files.key)
        if row is not None and row.kind == "directory":
            self.move(-1 if self.files.is_open(row.path) else 1, 0)

    def enter(self) -> Place | None:
        """Unfold a directory; the place that shows a file."""
        row = self.files.row(self._screen.body.files.key)
        if row is None or row.kind == "directory":
            self.fold()
            return None
        hidden = row.mark == "removed"
        part = f"{row.layer if hidden else 0}:{row.path}"
        return Place("file", "images", self._key, part)

    def layer(self, step: int) -> None:
        """Look at the next layer up or down."""
        look, layers = self.files.look, self.files.layers
        count = len(layers.layers) if layers is not None else 0
        number = look.layer + step
        if 1 <= number <= count:
            self._load(self.files.see(replace(look, layer=number)))

    def find(self, text: str) -> None:
        """Leave out what does not match."""
        try:
            self.files.find(text)
        except FilterError as error:
            self._screen.flash(str(error), "warn")
        self._drawn()

    def toggle(self, what: str) -> None:
        """`whole`, `size`, `changed` or `least`."""
        files = self.files
        if what == "changed":
            files.filter(only_changed=not files.only_changed)
        elif what == "least":
            at = SIZES.index(files.least) if files.least in SIZES else 0
            files.filter(least=SIZES[(at + 1) % len(SIZES)])
        else:
            look = files.look
            wanted = (
                replace(look, whole=not look.whole)
                if what == "whole"
                else replace(look, by_size=not look.by_size)
            )
            self._load(files.see(wanted))
            return
        self._drawn()

    @property
    def number(self) -> int:
        return self.files.look.layer

    def path(self) -> str:
        """What the cursor is on."""
        return self._screen.body.files.key

    def _load(self, work: Awaitable[None]) -> None:
        async def load() -> None:
            files = self.files
            try:
                await work
            except (StatusError, Unreachable) as error:
                files.problem = str(error)
                self._screen.flash(str(error), "bad")
            if files is self.files:
                self._drawn()

        self._screen.run_worker(load(), group="text", exit_on_error=True)

    def _drawn(self) -> None:
        screen = self._screen
        if screen.place.view == "files":
            screen.body.files.update()
            screen.tell_place()

    def _page_of(self, digest: str) -> Callable[[str, Look], Awaitable[TreePage]]:
        async def page(path: str, look: Look) -> TreePage:
            query = {
                "path": path,
                "layer": str(look.layer),
                "since": str(look.since),
                "sort": "size" if look.by_size else "name",
                "limit": str(MOST),
            }
            return codec.decode(TreePage, await self._get(digest, "tree", query))

        return page

    # -- texts -------------------------------------------------------------------------------

    def open_text(self, place: Place) -> None:
        """Show waste, who has a path, what differs, a file, or work under way."""
        text = self._screen.text
        work = self.work.get((place.key, place.part)) if place.view == "work" else None
        if work is not None:
            text.show_text(work.lines(self._screen.size.width))
            return
        text.show_text([(("  loading …", "dim"),)])
        self._screen.run_worker(self._text(place), group="text", exclusive=True, exit_on_error=True)

    async def _text(self, place: Place) -> None:
        try:
            lines = await self._lines(place)
        except (StatusError, Unreachable) as error:
            lines = [((str(error), "bad"),)]
        if place == self._screen.place:
            self._screen.text.replace(lines)

    async def _lines(self, place: Place) -> Block:
        image, width = self._image(place), self._screen.size.width
        digest = image.digest if image is not None else ""
        match place.view:
            case "waste":
                raw = await self._get(digest, "waste", {"same": "true"})
                return waste_text(codec.decode(WasteReport, raw), width)
            case "which":
                raw = await self._get(digest, "which", {"path": place.part})
                return which_text(codec.decode(Which, raw), self.files.layers, width)
            case "diff":
                raw = await self._get(digest, "diff", _other(place.part))
                return difference_text(codec.decode(Difference, raw), width)
            case "change":
                return await self._change(digest, place.part)
        layer, _, path = place.part.partition(":")
        query = {"path": path, "limit": str(TEXT_MOST)} | ({"layer": layer} if layer != "0" else {})
        row = self.files.row(path)
        data = await self._get(digest, "file", query)
        return file_text(data, row.size if row is not None and row.kind == "file" else len(data))

    async def _change(self, digest: str, part: str) -> Block:
        """A file as the chosen layer has it, beside what was seen below that layer."""
        number, _, path = part.partition(":")
        words = codec.decode(Which, await self._get(digest, "which", {"path": path})).words
        upto = [word for word in words if word.number <= int(number)]
        if len(upto) < 2 or not (upto[-1].kind and upto[-2].kind):
            return [(("only one layer has this file: there is nothing to compare", "warn"),)]
        before, after = [
            await self._get(
                digest, "file", {"path": path, "layer": str(word.number), "limit": str(TEXT_MOST)}
            )
            for word in upto[-2:]
        ]
        first, second = (f"layer {word.number}{path}" for word in upto[-2:])
        return change_text(before, after, first, second)

    async def extract(self) -> None:
        """Write the file under the cursor to the user's own folder."""
        screen, row = self._screen, self.files.row(self._screen.body.files.key)
        if row is None or row.kind not in ("file", "hardlink"):
            screen.flash("choose a file first", "warn")
            return
        if row.size > EXTRACT_MOST:
            screen.flash(f"larger than {size(EXTRACT_MOST)}: podarium image cat {row.path}", "warn")
            return
        image = self._image(screen.place)
        digest, query = image.digest if image is not None else "", {"path": row.path}
        if row.mark == "removed":
            query["layer"] = str(row.layer)
        pieces: list[bytes] = []
        try:
            while not pieces or len(pieces[-1]) == PIECE:
                query |= {"offset": str(PIECE * len(pieces)), "limit": str(PIECE)}
                pieces.append(await self._get(digest, "file", query))
            stem, suffix = splitext(row.name)
            file = await asyncio.to_thread(saved.write, "files", stem, suffix[:20], pieces)
        except (StatusError, Unreachable, OSError) as error:
            screen.flash(f"cannot save: {error}", "bad")
        else:
            screen.flash(f"{size(sum(map(len, pieces)))} in {file}", "ok")

    def _image(self, place: Place) -> Image | None:
        found = self._screen.cluster.get("images", place.key)
        return found if isinstance(found, Image) else None

    async def _get(self, digest: str, verb: str, query: dict[str, str] | None = None) -> bytes:
        path = f"/podarium/v1/images/{quote(digest)}/{verb}"
        return await self._screen.cluster.client.raw("GET", path, query=query)

    # -- work --------------------------------------------------------------------------------

    def start_work(self, work: ImageWork, query: dict[str, str] | None = None) -> None:
        """Have it done, and show how it goes."""
        self.work[work.reference, work.verb] = work
        self._screen.run_worker(self._work(work, query or {}), group="work", exit_on_error=True)
        self._screen.go(Place("work", "images", work.reference, work.verb))

    async def _work(self, work: ImageWork, query: dict[str, str]) -> None:
        screen = self._screen
        name = quote(work.reference)
        method, path = {
            "remove": ("DELETE", f"/podarium/v1/images/{name}"),
            "prune": ("POST", "/podarium/v1/images/prune"),
        }.get(work.verb, ("POST", f"/podarium/v1/images/{name}/{work.verb}"))
        try:
            async for line in screen.cluster.client.stream_lines(path, query, method=method):
                work.take(codec.decode(ImageEvent, line))
                self._shown(work)
        except (StatusError, Unreachable) as error:
            work.fail(str(error))
        if work.end is None:
            work.fail("the engine ended the work without a word")
        self._shown(work)
        subject = f"{work.verb} {work.reference}".strip()
        screen.flash(f"{subject}: {work.sentence()}", "bad" if work.failed else "ok")

    def _shown(self, work: ImageWork) -> None:
        screen = self._screen
        place = screen.place
        if place.view == "work" and (place.key, place.part) == (work.reference, work.verb):
            screen.text.replace(work.lines(screen.size.width))


def _other(part: str) -> dict[str, str]:
    """A comparison's other side: an image, or `pod:NAMESPACE/NAME/CONTAINER`."""
    if not part.startswith("pod:"):
        return {"to": part}
    namespace, name, container = part.removeprefix("pod:").split("/")
    return {"namespace": namespace, "pod": name, "container": container}
