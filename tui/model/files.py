"""The files of an image as a list that unfolds: what is open, what is marked, where the cursor may
stand. Directories are asked for when they are opened, so an image of any size opens at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from stat import filemode

from engine.types.explored import Layers, TreePage, TreeRow

from ..render.numbers import size
from ..render.spans import Line, Span, crop, crop_middle, pad, spread
from ..render.text import inert
from .filter import parse

ROOT = "/"
MOST = 5000
"""Names of one directory that are shown; the rest is counted."""
MARKS = {
    "added": ("+ added", "ok"),
    "changed": ("~ changed", "warn"),
    "removed": ("- removed", "bad"),
    "same": ("", "faint"),
}
_TYPES = {
    "directory": 0o40000,
    "symlink": 0o120000,
    "char": 0o20000,
    "block": 0o60000,
    "fifo": 0o10000,
    "socket": 0o140000,
}
ATTRIBUTES_FROM = 96
"""Cells from which owners and permissions have room."""


@dataclass(frozen=True)
class Look:
    """How the tree is looked at. Two looks that are equal give the same pages."""

    layer: int = 0
    """The topmost layer that counts; 0 until the layers are known."""
    whole: bool = False
    """Marks are of all that came after the lowest layer, not of this layer alone."""
    by_size: bool = False

    @property
    def since(self) -> int:
        """The layer that this one is compared with."""
        return min(1, self.layer - 1) if self.whole else self.layer - 1


Ask = Callable[[str, Look], Awaitable[TreePage]]
"""Gives a directory's page for a look."""


@dataclass
class Files:
    """One image's tree. Satisfies the table's `Rows`."""

    reference: str
    ask: Ask
    layers: Layers | None = None
    look: Look = field(default_factory=Look)
    only_changed: bool = False
    least: int = 0
    """Smaller names are left out, bytes."""
    search: str = ""
    """A filter's text: of names in sight, and of directories that are open."""
    problem: str = ""
    order: list[str] = field(default_factory=list)
    _pages: dict[str, TreePage] = field(default_factory=dict)
    _rows: dict[str, TreeRow] = field(default_factory=dict)
    _open: set[str] = field(default_factory=lambda: {ROOT})

    async def start(self, layers: Layers, layer: int = 0) -> None:
        """The layers are known: look at one, by default the topmost."""
        self.layers = layers
        await self.see(Look(layer or len(layers.layers)))

    async def see(self, look: Look) -> None:
        """Another look; what is open stays open as far as it is there."""
        pages: dict[str, TreePage] = {}
        for path in sorted(self._open):  # a directory before what is in it
            if path == ROOT or path in self._known(pages):
                pages[path] = await self.ask(path, look)
        self.look, self._pages = look, pages
        self._arrange()

    async def open(self, path: str) -> None:
        """Unfold a directory."""
        self._pages[path] = await self.ask(path, self.look)
        self._open.add(path)
        self._arrange()

    def close(self, path: str) -> None:
        """Fold a directory, and forget what was open below it."""
        below = path.rstrip("/") + "/"
        self._open = {o for o in self._open if o != path and not o.startswith(below)} | {ROOT}
        self._arrange()

    def is_open(self, path: str) -> bool:
        return path in self._open

    def filter(self, *, only_changed: bool | None = None, least: int | None = None) -> None:
        """Leave out what did not change, or what is small."""
        self.only_changed = self.only_changed if only_changed is None else only_changed
        self.least = self.least if least is None else least
        self._arrange()

    def find(self, text: str) -> None:
        """Leave out what does not match; what is in an open directory is asked for itself.

        Raise FilterError.
        """
        parse(text)
        self.search = text
        self._arrange()

    def row(self, path: str) -> TreeRow | None:
        return self._rows.get(path)

    def above(self, path: str) -> str:
        """The directory that a path is in."""
        return path.rpartition("/")[0] or ROOT

    @property
    def root(self) -> TreePage | None:
        return self._pages.get(ROOT)

    def _known(self, pages: dict[str, TreePage]) -> set[str]:
        return {row.path for page in pages.values() for row in page.rows if _folds(row)}

    def _arrange(self) -> None:
        self.order, self._rows = [], {}
        pending = [iter(self._wanted(ROOT))]
        while pending:
            row = next(pending[-1], None)
            if row is None:
                pending.pop()
                continue
            self.order.append(row.path)
            self._rows[row.path] = row
            if row.path in self._open and row.path in self._pages:
                pending.append(iter(self._wanted(row.path)))

    def _wanted(self, path: str) -> list[TreeRow]:
        page = self._pages.get(path)
        rows = page.rows if page is not None else []
        wanted = parse(self.search)
        return [
            row
            for row in rows
            if (not self.only_changed or row.mark != "same")
            and row.size >= self.least
            and (row.path in self._open or wanted(row.path, {}))
        ]

    # -- as a table --------------------------------------------------------------------------

    def head(self, width: int) -> Line:
        words = "MARK        NAME"
        text = f"{'SIZE':>9} {'LAYER':>5} {words}"
        if width >= ATTRIBUTES_FROM:
            text = f" {'PERMISSIONS':11}{'OWNER':>9} {text}"
        look, layers = self.look, self.layers
        count = len(layers.layers) if layers is not None else 0
        what = "all changes to" if look.whole else "changes of"
        note = f"{what} layer {look.layer} of {count} " if look.layer else ""
        return spread(((crop(text, width), "dim bold"),), ((note, "accent"),), width)

    def cells(self, key: str, width: int) -> Line:
        row = self._rows[key]
        word, role = MARKS.get(row.mark, ("", "text"))
        spans: list[Span] = []
        if width >= ATTRIBUTES_FROM:
            mode = filemode(_TYPES.get(row.kind, 0o100000) | row.mode)
            spans += [(f" {mode:11}", "faint"), (f"{row.uid}:{row.gid}".rjust(9), "faint")]
            spans.append((" ", "text"))
        spans += [
            (size(row.size).rjust(9), "text" if row.size else "faint"),
            (str(row.layer).rjust(6), self._colour(row)),
            (f" {word:11} ", role),
        ]
        used = sum(len(text) for text, _ in spans)
        return (*spans, *self._name(row, max(1, width - used), role))

    def _name(self, row: TreeRow, width: int, role: str) -> Line:
        depth = min(row.path.count("/") - 1, max(0, width // 4))
        sign = "  "
        if _folds(row):
            sign = "▾ " if self.is_open(row.path) else "▸ "
        text = inert(row.name) + ("/" if row.kind == "directory" else "")
        colour = role if row.mark != "same" else "accent" if row.kind == "directory" else "text"
        if row.mark == "removed":
            colour += " strike"
        room = max(1, width - 2 * depth - 2)
        spans: list[Span] = [("  " * depth + sign, "faint"), (crop_middle(text, room), colour)]
        if row.link:
            spans.append((f" → {inert(row.link)}", "dim"))
        return pad(spans, width)

    def _colour(self, row: TreeRow) -> str:
        return "text" if row.layer == self.look.layer else "faint"

    def picture(self, width: int, height: int) -> list[Line]:
        """Why there is nothing to see: not yet, an error, or nothing that is wanted."""
        if self.problem:
            return [((f"  {inert(self.problem)}", "bad"),)]
        page = self.root
        if page is None:
            return [(("  loading …", "dim"),)]
        if page.rows and not self.order:
            why = f"matches /{self.search}" if self.search else "is changed"
            if not self.search and not self.only_changed:
                why = "is that large"
            return [((f"  nothing here {inert(why)}; {page.total} names are hidden", "dim"),)]
        return [(("  this layer has no files", "dim"),)]


def _folds(row: TreeRow) -> bool:
    return row.kind == "directory"
