"""Moving on the main screen: what an arrow, a page or Tab does depends on what is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.types.core import Pod

from ..model.place import TEXTS, Place
from .asking import Asking
from .imaging import Imaging
from .replaying import Replaying

if TYPE_CHECKING:
    from .main import MainScreen


class Moving(Asking):
    """That part of `commands.desk.Desk`."""

    def __init__(self, screen: MainScreen) -> None:
        super().__init__(screen)
        self.replaying = Replaying(screen)

    @property
    def place(self) -> Place:
        return self._screen.place

    @property
    def images(self) -> Imaging:
        return self._screen.imaging

    def move(self, dx: int, dy: int) -> None:
        screen = self._screen
        focused = screen.focused
        if focused is screen.body.preview and self.place.view == "files":
            self.images.layer(-dy)
        elif focused is screen.body.preview:
            screen.body.preview.scroll_rows(dy)
        elif self.place.view == "list":
            screen.table.move(dy)
        elif self.place.view == "files":
            self.images.move(dx, dy)
        elif self.place.view == "logs":
            screen.log_view.scroll_rows(dy) if dy else screen.log_view.scroll_sideways(dx * 8)
        elif self.place.view in TEXTS:
            screen.text.scroll_rows(dy) if dy else screen.text.scroll_sideways(dx * 8)
        elif self.place.view == "container" and dx and self.replaying.move(dx):
            return
        elif self.place.view in ("pod", "container"):
            screen.sheet.scroll_rows(dy) if dy else self.next_part(dx)
        else:
            screen.sheet.move(dx, dy)

    def page(self, pages: int) -> None:
        screen = self._screen
        if screen.focused is screen.body.preview:
            screen.body.preview.scroll_rows(pages * screen.body.preview.size.height)
        elif self.place.view in ("list", "files"):
            screen.body.rows.move_page(pages)
        elif self.place.view == "logs":
            screen.log_view.scroll_rows(pages * screen.log_view.size.height)
        else:
            sheet = screen.text if self.place.view in TEXTS else screen.sheet
            sheet.scroll_rows(pages * sheet.size.height)

    def edge(self, end: bool) -> None:
        screen = self._screen
        if self.place.view == "container" and self.replaying.edge(end):
            return
        if self.place.view in ("list", "files"):
            rows = screen.body.rows
            rows.move_to(len(rows.view.order) - 1 if end else 0)
        elif self.place.view == "logs":
            screen.log_view.go_end() if end else screen.log_view.go_start()
        else:
            sheet = screen.text if self.place.view in TEXTS else screen.sheet
            sheet.scroll_rows(len(sheet.page.lines) if end else -len(sheet.page.lines))

    def next_pane(self) -> None:
        screen = self._screen
        if self.place.view == "overview":
            screen.sheet.next_target()
        elif not screen.body.preview.is_on_screen or screen.focused is screen.body.preview:
            screen.focus_body()
        else:
            screen.set_focus(screen.body.preview)

    def next_part(self, step: int) -> None:
        place = self.place
        names = self._parts()
        logs = place.view == "logs"
        if len(names) < 2 and (place.part or not logs):
            self._screen.flash(f"{place.name} has one container", "text")
        elif names:
            here = (
                names.index(place.part) if place.part in names else -1 if logs and step > 0 else 0
            )
            part = names[(here + step) % len(names)]
            self._screen.replace(replace(place, part=part, previous=False))

    def _parts(self) -> list[str]:
        """The names of the containers of what is shown."""
        obj = self._screen.cluster.get(self.place.kind, self.place.key)
        pods = [obj] if isinstance(obj, Pod) else self._screen.cluster.pods_of(obj) if obj else []
        return list(dict.fromkeys(c.name for pod in pods for c in pod.spec.containers))
