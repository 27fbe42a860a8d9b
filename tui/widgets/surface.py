"""The base of every widget that draws plain lines: from `Line` to cached strips, row by row.

It hands strips straight to the compositor, past Textual's per-widget style cache, and gives back
the same strip for the same line, so that an unchanged row costs nothing. Only rows that changed
are refreshed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from rich.segment import Segment
from textual.cache import LRUCache
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from ..render.spans import EMPTY, Line, cells
from ..themes.palette import DARK, PALETTES, Palette


class Surface(Widget):
    """A widget whose rows come from `row(y)`."""

    DEFAULT_CSS = """
    Surface { height: 1fr; width: 1fr; background: $background; color: $foreground; }
    """
    ground = "@background"
    """The role of cells that a line does not cover."""
    whole = False
    """Whether rows depend on each other, so that they are drawn together."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._strips: LRUCache[tuple[Line, int], Strip] = LRUCache(2048)
        self._painted: list[Line] = []
        """What is on screen."""
        self._ready: list[Line] | None = None
        """Rows drawn to find out what differs, until something else changes."""

    @property
    def palette(self) -> Palette:
        """The palette of the app's theme."""
        return PALETTES.get(self.app.theme, DARK)

    def row(self, y: int) -> Line:
        """The line at row `y` of the widget's area."""
        raise NotImplementedError

    def rows(self) -> list[Line]:
        """All visible lines."""
        return [self.row(y) for y in range(self.size.height)]

    def notify_style_update(self) -> None:
        self._strips.clear()
        super().notify_style_update()

    def refresh(
        self,
        *regions: Region,
        repaint: bool = True,
        layout: bool = False,
        recompose: bool = False,
    ) -> Self:
        self._ready = None
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def repaint(self) -> None:
        """Paint the rows that differ from what is on screen."""
        rows = self.rows()
        before = self._painted
        if len(rows) != len(before):
            self.refresh()
            return
        width = self.size.width
        changed = [y for y, (new, old) in enumerate(zip(rows, before, strict=True)) if new != old]
        if changed:
            self.refresh(*[Region(0, y, width, 1) for y in changed])
            self._ready = rows

    def render_lines(self, crop: Region) -> list[Strip]:
        width, height = self.size
        if len(self._painted) != height:
            self._painted = [EMPTY] * height
        ready = self._ready
        if ready is None and self.whole:
            ready = self.rows()
        filters = self.get_line_filters()
        strips = []
        for y in crop.line_range:
            line = ready[y] if ready is not None else self.row(y)
            self._painted[y] = line
            strip = self.strip(line, width)
            for line_filter in filters:
                strip = strip.apply_filter(line_filter, self.background_colors[1])
            strips.append(strip)
        if crop.x or crop.width != width:
            strips = [strip.crop(crop.x, crop.right) for strip in strips]
        return strips

    def strip(self, spans: Line, width: int) -> Strip:
        """The strip of a line, filled or cut to `width` cells."""
        key = (spans, width)
        strip = self._strips.get(key)
        if strip is None:
            strip = self._make(spans, width)
            self._strips[key] = strip
        return strip

    def _make(self, spans: Sequence[tuple[str, str]], width: int) -> Strip:
        style = self.palette.style
        ground = self.ground
        segments = []
        used = 0
        for text, role in spans:
            if text:
                segments.append(Segment(text, style(f"{ground} {role}")))
                used += cells(text)
        if used < width:
            last = spans[-1][1] if spans else ""
            fill = next((word for word in last.split() if word in ("@cursor", "@cursor-idle")), "")
            segments.append(Segment(" " * (width - used), style(fill or ground)))
        strip = Strip(segments, max(used, width))
        return strip.crop(0, width) if used > width else strip
