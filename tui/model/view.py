"""A list as it is seen: the objects of a kind, narrowed, filtered and ordered.

Changes are worked in one by one while they are few. The order by a number that changes every second
is renewed only now and then, so that rows do not dance.
"""

from __future__ import annotations

import os
from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Any

from engine.types.meta import Object

from ..render.spans import EMPTY, Line, centred, line, width_of, wrapped
from ..render.text import inert
from . import filter as filters
from .cluster import Cluster
from .column import Column, Layout, gap_of, join, layout
from .columns import Listing, namespaced
from .place import Within

STATES = ("STATUS", "REASON")
"""Headings of the columns whose colour is a row's state."""
RESTLESS = ("AGE", "LAST")
"""Headings of columns that change by themselves."""
GLOW_SECONDS = 1.5
"""How long a cell that has changed stands out."""
CALM_SECONDS = 4.0
"""Time between two orders by a live number."""


def reduced_motion() -> bool:
    """$PODARIUM_REDUCED_MOTION: nothing stands out for a moment only."""
    return os.environ.get("PODARIUM_REDUCED_MOTION", "") not in ("", "0")


class _Reversed:
    """Turns an order around, for texts too."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: _Reversed) -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and bool(self.value == other.value)

    __hash__ = None  # type: ignore[assignment]


class View:
    """The rows of a list, as keys in order, and how to draw them."""

    def __init__(
        self,
        cluster: Cluster,
        listing: Listing,
        within: Within | None = None,
        hidden: frozenset[str] = frozenset(),
    ) -> None:
        """`hidden`: headings of columns that are not shown."""
        self.cluster = cluster
        self.listing = listing
        self.within = within
        self.hidden = hidden
        self.only_problems = False
        """Whether rows in which all is well are left out."""
        self.namespace = ""
        """Only this namespace; all when empty."""
        self.filter = ""
        self.order: list[str] = []
        self.column = next(c for c in listing.columns if c.head == listing.sort)
        self.reverse = self.column.down
        self.problem = ""
        """What is wrong with the filter."""
        self.marks: dict[str, None] = {}
        """Keys of marked rows, the last marked at the end."""
        self._match: filters.Match = filters.everything
        self._ranked: list[tuple[Any, str]] = []
        self._rank: dict[str, Any] = {}
        self._sorted_at = 0.0
        self._layouts: dict[int, Layout] = {}
        self._drawn: dict[str, tuple[Object, Line]] = {}
        self.glows = not reduced_motion()
        self._texts: dict[str, dict[str, str]] = {}
        """What each cell said when it was drawn last, by row and heading."""
        self._changed: dict[tuple[str, str], float] = {}
        """When a cell was seen to have changed."""
        self._moment: tuple[int, int, int] = (-1, 0, 0)
        self.rebuild()

    # -- what is in it -----------------------------------------------------------------------

    @property
    def total(self) -> int:
        """Objects before the filter."""
        return sum(map(self._belongs, self.cluster.objects(self.listing.kind).values()))

    def _belongs(self, obj: Object) -> bool:
        if self.namespace and obj.metadata.namespace not in ("", self.namespace):
            return False
        within = self.within
        if within is None:
            return True
        match within.relation:
            case "node":
                return bool(obj.spec.node_name == within.value)  # type: ignore[attr-defined]
            case "owner":
                uids = {ref.uid for ref in obj.metadata.owner_references}
                return within.value in uids or self._managed(obj, within.value)
            case "image":
                containers = obj.spec.containers  # type: ignore[attr-defined]
                return any(c.image == within.value for c in containers)
            case "about":
                return bool(obj.involved_object.uid == within.value)  # type: ignore[attr-defined]
        raise ValueError(f"unknown relation {within.relation!r}")

    def _managed(self, obj: Object, uid: str) -> bool:
        """Whether a pod belongs to an owner through a replica set."""
        sets = self.cluster.objects("replicasets")
        for ref in obj.metadata.owner_references:
            owner = sets.get(f"{obj.metadata.namespace}/{ref.name}")
            if owner is not None and any(r.uid == uid for r in owner.metadata.owner_references):
                return True
        return False

    def text(self, obj: Object) -> str:
        """What a filter is matched against: the words of a row."""
        words = [obj.metadata.name, obj.metadata.namespace]
        for column in self.listing.columns:
            if not column.live:
                value = column.sort(self.cluster, obj)
                if isinstance(value, str):
                    words.append(value)
        return " ".join(words)

    def _sort_key(self, key: str, obj: Object) -> Any:
        value = self.column.sort(self.cluster, obj)
        return _Reversed(value) if self.reverse else value

    def _shown(self, obj: Object) -> bool:
        if not self._belongs(obj):
            return False
        if self.only_problems and not self._troubled(obj):
            return False
        if self._match is filters.everything:
            return True
        return self._match(self.text(obj), obj.metadata.labels)

    def _troubled(self, obj: Object) -> bool:
        """Whether the colour of its state asks for attention."""
        states = [column for column in self.listing.columns if column.head in STATES]
        cells = [column.cell(self.cluster, obj, column.width) for column in states]
        return any(cell and cell[0][1] in ("bad", "warn") for cell in cells)

    def rebuild(self) -> None:
        """Filter and order everything again."""
        objects = self.cluster.objects(self.listing.kind)
        self._rank = {
            key: self._sort_key(key, obj) for key, obj in objects.items() if self._shown(obj)
        }
        self._ranked = sorted((rank, key) for key, rank in self._rank.items())
        self.order = [key for _, key in self._ranked]
        self._sorted_at = self.cluster.now()

    def apply(self, changed: Iterable[str]) -> None:
        """Work in changed objects."""
        keys = list(changed)
        if len(keys) > 64 + len(self.order) // 20:
            self.rebuild()
            return
        objects = self.cluster.objects(self.listing.kind)
        moved = False
        for key in keys:
            obj = objects.get(key)
            new = self._sort_key(key, obj) if obj is not None and self._shown(obj) else None
            old = self._rank.get(key)
            if new is None and old is None:
                continue
            if old is not None:
                if new is not None and (new == old or self.column.live):
                    continue
                del self._ranked[bisect_left(self._ranked, (old, key))]
                del self._rank[key]
            if new is not None:
                insort(self._ranked, (new, key))
                self._rank[key] = new
            moved = True
        if moved:
            self.order = [key for _, key in self._ranked]

    def tick(self) -> None:
        """Time went by: order by live numbers again when it is time."""
        if self.column.live and self.cluster.now() - self._sorted_at >= CALM_SECONDS:
            self.rebuild()

    def set_filter(self, text: str) -> None:
        """Narrow to what matches; an unreadable filter changes nothing and is told in `problem`."""
        self.filter = text
        try:
            self._match = filters.parse(text)
            self.problem = ""
        except filters.FilterError as error:
            self.problem = str(error)
        self.rebuild()

    def sort_by(self, column: Column) -> None:
        """Order by a column; the same column again turns the order around."""
        if column is self.column:
            self.reverse = not self.reverse
        else:
            self.column = column
            self.reverse = column.down
        self.rebuild()

    # -- marks -------------------------------------------------------------------------------

    def toggle_mark(self, key: str) -> None:
        """Mark a row, or take its mark away."""
        if self.marks.pop(key, key) is not None:
            self.marks[key] = None
        self._drawn.clear()

    def mark_range(self, key: str) -> None:
        """Mark all rows from the last marked one to this one."""
        last = next(reversed(self.marks), key)
        ends = sorted(self.order.index(k) if k in self.order else 0 for k in (last, key))
        self.marks |= dict.fromkeys(self.order[ends[0] : ends[1] + 1])
        self._drawn.clear()

    def clear_marks(self) -> bool:
        """Whether there were any."""
        had = bool(self.marks)
        self.marks.clear()
        self._drawn.clear()
        return had

    def marked(self) -> list[str]:
        """Those that are still there and shown, in the order of the list."""
        return [key for key in self.order if key in self.marks]

    # -- how it looks ------------------------------------------------------------------------

    def forget_layout(self) -> None:
        """Choose the columns again: the namespace's column comes and goes with the choice."""
        self._layouts.clear()
        self._drawn.clear()

    def columns(self, width: int) -> Layout:
        """The columns that fit."""
        found = self._layouts.get(width)
        if found is None:
            hide = (self.namespace or not namespaced(self.listing.kind)) and "NAMESPACE"
            chosen = [
                c for c in self.listing.columns if c.head != hide and c.head not in self.hidden
            ]
            if self.within is not None and self.within.relation == "node":
                chosen = [c for c in chosen if c.head != "NODE"]
            found = self._layouts[width] = layout(chosen, width - 1)
        return found

    def head(self, width: int) -> Line:
        """The headings, with an arrow at the column that orders."""
        pieces = []
        for column, size in self.columns(width - 1):
            chosen = column is self.column
            arrow = ("▼" if self.reverse else "▲") if chosen else ""
            role = "accent bold" if chosen else "faint bold"
            text = column.head
            if arrow and len(text) + 1 <= size:
                text = arrow + text if column.right else text + arrow
            elif arrow:
                text = text[: size - 1] + arrow
            pieces.append((column, size, ((text, role),)))
        return ((" ", "text"), *join(pieces, gap_of(width - 2)))

    def column_at(self, x: int, width: int) -> Column | None:
        """The column under a cell of the heading."""
        start = 1
        for index, (column, size) in enumerate(self.columns(width - 1)):
            if index:
                start += 1 if column.tight else gap_of(width - 2)
            if start <= x < start + size + 1:
                return column
            start += size
        return None

    def cells(self, key: str, width: int) -> Line:
        """A row: the gutter takes the colour of its state.

        It is drawn once a second, or when the object changes.
        """
        obj = self.cluster.objects(self.listing.kind).get(key)
        if obj is None:
            return EMPTY
        moment = (self.cluster.book.tick, int(self.cluster.now()), width)
        if moment != self._moment:
            self._moment = moment
            self._drawn.clear()
        drawn = self._drawn.get(key)
        if drawn is None or drawn[0] is not obj:
            drawn = self._drawn[key] = (obj, self._draw(key, obj, width))
        return drawn[1]

    def _draw(self, key: str, obj: Object, width: int) -> Line:
        pieces = [
            (column, size, column.cell(self.cluster, obj, size))
            for column, size in self.columns(width)
        ]
        if self.glows:
            pieces = self._glowing(key, pieces)
        gutter = ("◆", "accent bold") if key in self.marks else self._gutter(pieces)
        return (gutter, *join(pieces, gap_of(width - 1)))

    def _glowing(
        self, key: str, pieces: list[tuple[Column, int, Line]]
    ) -> list[tuple[Column, int, Line]]:
        """The same, with what has changed on a ground of its own for a moment."""
        now = self.cluster.now()
        before = self._texts.get(key)
        texts = self._texts[key] = {}
        out = []
        for column, size, cell in pieces:
            head = column.head
            if not column.live and head not in RESTLESS:
                texts[head] = "".join(text for text, _ in cell)
                if before is not None and before.get(head, texts[head]) != texts[head]:
                    self._changed[key, head] = now
            if (key, head) in self._changed:
                if now - self._changed[key, head] < GLOW_SECONDS:
                    cell = tuple((text, f"{role} @glow") for text, role in cell)
                else:
                    del self._changed[key, head]
            out.append((column, size, cell))
        return out

    def _gutter(self, pieces: list[tuple[Column, int, Line]]) -> tuple[str, str]:
        for column, _, cell in pieces:
            if column.head in STATES and cell:
                role = cell[0][1].removesuffix(" @glow")
                return ("▎", role) if role in ("bad", "warn", "busy") else (" ", "text")
        return (" ", "text")

    def picture(self, width: int, height: int) -> list[Line]:
        """What is shown instead of rows: loading, not served, filtered out, empty, lost."""
        noun = self.listing.noun
        kind = self.listing.kind
        if kind in self.cluster.missing:
            words = [
                line(("⊘", "faint")),
                line((f"This cluster knows no {kind}", "text bold")),
                line(("only a Podarium engine serves them", "dim")),
            ]
        elif self.cluster.loading(kind) and self.cluster.problem(kind):
            words = [
                line(("✖", "bad")),
                line((f"Cannot list {kind}", "text bold")),
                *(((row, "dim"),) for row in wrapped(inert(self.cluster.problem(kind)), width - 8)),
            ]
        elif self.cluster.loading(kind):
            words = [
                line(("◌ ◌ ◌", "accent")),
                line((f"Loading {kind} …", "text bold")),
                line(("the first list is on its way", "dim")),
            ]
        elif self.only_problems and self.total:
            words = [
                line(("✔", "ok")),
                line((f"Nothing is wrong with any of {self.total}", "text bold")),
                line(("^z", "key"), (" shows them all", "dim")),
            ]
        elif self.filter and self.total:
            words = [
                line(("▽", "warn")),
                line((f"{self.total} hidden by ", "text bold"), (f"/{self.filter}", "warn bold")),
                line(("esc", "key"), (" shows them again", "dim")),
            ]
        else:
            where = f" in {self.namespace}" if self.namespace else ""
            where += f" of {self.within.title}" if self.within else ""
            words = [
                line(("◇", "faint")),
                line((f"No {noun} here{where}", "text bold")),
                line(("it appears as soon as there is one", "dim")),
            ]
        if self.cluster.state == "stale":
            words.append(line(("disconnected: this is what was known last", "warn")))
        inner = max(width_of(row) for row in words)
        rows = [((" " * ((inner - width_of(row)) // 2), "text"), *row) for row in words]
        return centred(rows, width, height)
