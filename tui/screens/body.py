"""The body of the main screen: the views, one of them in sight, a preview beside, charts below."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from ..model.cluster import Cluster
from ..model.columns import listing
from ..model.view import View
from ..pages.strip import strip
from ..widgets.log_view import LogView
from ..widgets.sheet import Sheet
from ..widgets.table import Table
from ..widgets.text_view import TextView
from .pages import PREVIEWED, Pages

PREVIEW_FROM = 104
STRIP_FROM = (170, 46)
"""Columns and rows from which a list has charts below it."""


class Body(Horizontal):
    """Swaps views instead of screens: that takes 3 ms, a screen 12."""

    def __init__(self, cluster: Cluster, pages: Pages) -> None:
        super().__init__(id="body")
        self.cluster = cluster
        self.pages = pages
        self.view = View(cluster, listing("pods"))
        self.table = Table(self.view, id="table")
        self.files = Table(self.view, id="files")
        self.sheet = Sheet(id="sheet")
        self.text = TextView(id="text")
        self.log_view = LogView(id="log")
        self.preview = Sheet(id="preview")
        self.strip = Sheet(id="strip")
        self.alone = False
        """Whether a list is shown without what else there is room for."""
        self.side = Vertical(self.preview, id="side")

    def compose(self) -> ComposeResult:
        with Vertical(id="main"):
            yield self.sheet
            yield self.table
            yield self.files
            yield self.text
            yield self.log_view
            yield self.strip
        yield self.side

    @property
    def shown(self) -> Sheet | Table | TextView | LogView:
        """The view in sight."""
        views = (self.table, self.files, self.text, self.log_view)
        return next((view for view in views if view.display), self.sheet)

    @property
    def rows(self) -> Table:
        """The list or the tree, whichever is in sight."""
        return self.files if self.files.display else self.table

    def display_only(self, shown: Sheet | Table | TextView | LogView) -> None:
        """Put one view in sight, with what stands around it where there is room."""
        for view in (self.sheet, self.table, self.files, self.text, self.log_view):
            view.display = view is shown
        company = shown is self.table and not self.alone
        size = self.screen.size
        known = self.view.listing.kind in PREVIEWED
        beside = (company and known) or shown is self.files
        self.side.display = beside and size.width >= PREVIEW_FROM
        width, height = STRIP_FROM
        roomy = size.width >= width and size.height >= height
        self.strip.display = company and roomy and "stats" not in self.cluster.missing
        self.strip.source = lambda w, h, t: strip(self.cluster, self.view, w, h)

    def show_list(self, view: View, key: str) -> None:
        """A list, with the cursor on `key`."""
        self.view = view
        self.display_only(self.table)
        self.table.show(view, key)
        self.refresh_preview()

    def refresh_preview(self) -> None:
        """Draw anew what belongs to the row under the cursor."""
        if self.side.display and self.files.display:
            self.preview.source = self.pages.stack
            self.preview.update()
        elif self.side.display:
            self.preview.source = self.pages.preview(self.view.listing.kind, self.table.key)
            self.preview.update()
        if self.strip.display:
            self.strip.update()
