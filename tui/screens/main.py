"""The one screen: a status bar, a body whose view is swapped, a preview, a key bar.

It keeps where one is and how one came there, asks the cluster for changes ten times a second at
most, and hands each view what it needs. What a key does is in the commands; how things look, in
the pages.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen

from ..commands.all import COMMANDS
from ..commands.keymap import in_short
from ..commands.kubectl import of_place
from ..model.boot import Boot
from ..model.cluster import Cluster
from ..model.columns import listing
from ..model.forwards import Forwards
from ..model.hidden import Hidden
from ..model.journal import Journal
from ..model.place import TEXTS, Place, Within
from ..model.view import View
from ..widgets.key_bar import KeyBar
from ..widgets.log_view import LogView
from ..widgets.prompt import Prompt
from ..widgets.sheet import Sheet
from ..widgets.status_bar import StatusBar
from ..widgets.table import Table
from ..widgets.text_view import TextView
from .body import PREVIEW_FROM, Body
from .crumbs import crumb, hints, log_mode
from .desk import ScreenDesk
from .imaging import Imaging
from .pages import Pages
from .reading import FLUSH_SECONDS, Reading
from .start import show_start
from .trail import Trail, Visit

if TYPE_CHECKING:
    from ..application import PodariumApp

FLASH_SECONDS = 4
REST = 12.0
"""How much longer than a painting of changes the time to the next one is: a twelfth of a core."""


class MainScreen(Screen[None]):
    """See the module."""

    BLANK = True
    # With priority the app itself runs a command, in the order of the keys: of keys typed at once,
    # `:pods`, the first opens the prompt before the second is given to whatever has the focus.
    BINDINGS: ClassVar[list[Any]] = [
        Binding(
            key,
            f"command('{command.id}')",
            command.title,
            show=False,
            priority=True,
            id=f"{command.id}.{index}",
        )
        for command in sorted(COMMANDS.all(), key=lambda command: not command.scopes)
        for index, key in enumerate(command.keys)
    ]

    def __init__(self, cluster: Cluster, boot: Boot, forwards: Forwards) -> None:
        super().__init__()
        self.cluster = cluster
        self.boot = boot
        self.namespace = ""
        self.trail = Trail()
        self.pages = Pages(cluster, forwards)
        self.body = Body(cluster, self.pages)
        self.table, self.sheet = self.body.table, self.body.sheet
        self.text, self.log_view = self.body.text, self.body.log_view
        self.status = StatusBar(cluster, self._mode, lambda: self.podarium.read_only)
        self.keys = KeyBar()
        self.prompt_line = Prompt(lambda: list(cluster.objects("namespaces")))
        self.desk = ScreenDesk(self)
        self.journal = Journal()
        self.hidden = Hidden()
        self.reading = Reading(self)
        self.imaging = Imaging(self)
        self._flush_due = False
        self._cost = 0.0
        """Seconds that the last painting of changes took."""
        self._flash_left = 0
        self._booting = True
        self.arrived = asyncio.Event()
        """Set when the start is over and the first view is shown."""
        self._seconds = 0

    def compose(self) -> ComposeResult:
        yield self.status
        yield self.body
        yield self.keys
        yield self.prompt_line

    def on_mount(self) -> None:
        self.cluster.on_change = self._changed
        self._display(self.sheet)
        self._follow()
        if self.boot.file is not None or not self.cluster.objects("nodes"):
            self._show_boot()
        else:
            self._begin()
        self.set_interval(1.0, self._second)

    @property
    def podarium(self) -> PodariumApp:
        return cast("PodariumApp", self.app)

    # -- following the cluster ---------------------------------------------------------------

    @work(group="cluster", exit_on_error=True)
    async def _follow(self) -> None:
        await self.cluster.run()

    @work(group="boot", exit_on_error=True)
    async def _show_boot(self) -> None:
        await show_start(self)
        self._begin()

    def _begin(self) -> None:
        """The start is over."""
        self._booting = False
        self._arrive()
        self.arrived.set()
        if self.podarium.problems:
            self.flash(in_short(self.podarium.problems), "warn")

    def _changed(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self.set_timer(max(FLUSH_SECONDS, self._cost * REST), self._flush)

    def _flush(self) -> None:
        """Take the changes and paint what they touch; the longer that takes, the seldomer."""
        start = time.perf_counter()
        self._flush_due = False
        self._paint_changes()
        self._cost = time.perf_counter() - start

    def _paint_changes(self) -> None:
        changes = self.cluster.take()
        if "pods" in changes.objects:
            self.pages.forwards.check(self.cluster.pods())
        if self._booting:
            return
        place = self.place
        if place.view == "list":
            changed = changes.objects.get(self.view.listing.kind)
            if changed is not None:
                self.view.apply(changed) if changed else self.view.rebuild()
            if changes.stats:
                self.view.tick()
            self.table.update()
            self.body.refresh_preview()
            self._crumbs()
        elif self.sheet.display:
            self.sheet.update()
        self.status.repaint()
        if place.view == "describe" and any(place.key in keys for keys in changes.objects.values()):
            self.reading.text(place)

    def _second(self) -> None:
        """Once a second: ages, the connection, messages that have been read."""
        self._seconds += 1
        if self._flash_left:
            self._flash_left -= 1
            if not self._flash_left:
                self.keys.unflash()
        if self._booting:
            self.status.repaint()
            return
        if (
            self.cluster.state_changed()
            or "stats" in self.cluster.missing
            or self.cluster.state != "live"
        ):
            self._changed()
        if self.place.view == "list":
            self.table.update()
        elif self.place.view == "logs":
            self._crumbs()
        if self.place.view == "container" or (self.place.view == "pod" and self._seconds % 3 == 0):
            self.reading.anatomy(self.place)

    # -- where one is ------------------------------------------------------------------------

    @property
    def view(self) -> View:
        """The list that is shown, or was last."""
        return self.body.view

    @property
    def place(self) -> Place:
        return self.trail.here.place

    def go(self, place: Place) -> None:
        """Go to a place, from which one can come back."""
        self._remember()
        if self.trail.push(place):
            self._arrive()

    def back(self) -> bool:
        """One step back; False at the first view."""
        if not self.trail.pop():
            return False
        self._arrive()
        return True

    def open_list(self, kind: str, within: Within | None = None) -> None:
        self.cluster.watch(kind)
        self.go(Place("list", kind, within=within))

    def _remember(self) -> None:
        visit = self.trail.here
        if visit.place.view == "list":
            visit.key, visit.filter = self.table.key, self.view.filter
        elif visit.place.view == "files":
            visit.key = self.body.files.key
        elif visit.place.view != "logs":
            visit.key, visit.top = self.sheet.target, self.sheet.top

    def _arrive(self) -> None:
        """Show the place one is at now."""
        visit = self.trail.here
        place = visit.place
        self.desk.record(of_place(place, self.namespace, visit.filter))
        self.desk.replaying.end()
        if place.view != "logs":
            self.reading.stop_logs()
        if place.view == "list":
            self._show_list(visit)
        elif place.view == "logs":
            self._display(self.log_view)
            self.reading.logs(place)
        elif place.view == "files":
            self._display(self.body.files)
            self.imaging.open_files(place, visit.key)
        elif place.view in TEXTS:
            self._display(self.text)
            self.reading.open(place)
        else:
            self._display(self.sheet)
            self.sheet.show(self.pages.source(place), top=visit.top, target=visit.key)
            if place.view in ("pod", "container"):
                self.reading.anatomy(place)
        self._crumbs()
        self.status.repaint()

    def _show_list(self, visit: Visit) -> None:
        place = visit.place
        view = View(self.cluster, listing(place.kind), place.within, self.hidden.of(place.kind))
        view.namespace = self.namespace
        view.set_filter(visit.filter)
        self.body.show_list(view, visit.key)
        if not self.prompt_line.open:
            self.focus_body()

    def _display(self, view: Sheet | Table | TextView | LogView) -> None:
        """Swap the view in the body."""
        self.body.display_only(view)
        if not self.prompt_line.open:
            self.focus_body()

    def _crumbs(self) -> None:
        here = self.trail.here
        names = [
            crumb(v.place, self.cluster, self.namespace, self.view if v is here else None)
            for v in self.trail.visits
        ]
        commands = hints(
            self.place.scopes, at_start=self.trail.at_start, read_only=self.podarium.read_only
        )
        right = self.log_view.position if self.place.view == "logs" else ""
        self.keys.show(names[-3:], commands, right)

    def _mode(self) -> str:
        return log_mode(self.log_view) if self.place.view == "logs" else ""

    # -- keys, messages, mouse ---------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A key reaches the command that applies here; others with the same key are passed by."""
        if action != "command":
            return True
        if self.prompt_line.open:
            return False
        if self._booting and parameters[0] not in ("leave", "quit", "help", "theme"):
            return False
        return COMMANDS[str(parameters[0])].applies(self.place.scopes)

    def action_command(self, id: str) -> None:
        self.run_command(id)

    @work(group="command", exit_on_error=True)
    async def _run_async(self, id: str) -> None:
        result = COMMANDS[id].handler(self.desk)
        if result is not None:
            await result

    def run_command(self, id: str) -> None:
        """Do what a command says: at once, or as a task when it has to wait for something."""
        if COMMANDS[id].changes and self.podarium.read_only:
            self.flash(f"{COMMANDS[id].title}: this dashboard only looks (--read-only)", "warn")
            return
        handler = COMMANDS[id].handler
        if asyncio.iscoroutinefunction(handler):
            self._run_async(id)
        else:
            handler(self.desk)

    def flash(self, text: str, role: str = "text") -> None:
        """A short message over the key bar."""
        self._flash_left = FLASH_SECONDS
        self.keys.flash(text, role)

    def tell_place(self) -> None:
        """The words about where one is have changed."""
        self._crumbs()
        self.body.refresh_preview()
        self.status.repaint()

    def start_at(self, place: Place) -> None:
        """Go to a place as the only step after the overview."""
        self._remember()
        self.cluster.watch(place.kind)
        self.trail.start_at(place)
        self._arrive()

    def replace(self, place: Place) -> None:
        """Show another place instead of this one."""
        self.trail.replace(place)
        self._arrive()

    def focus_body(self) -> None:
        """Focus the view in the body."""
        self.set_focus(self.body.shown)

    @on(Table.Moved)
    def _row_changed(self, event: Table.Moved) -> None:
        self.body.refresh_preview()

    @on(LogView.Moved)
    def _log_moved(self) -> None:
        self.tell_place()

    @on(Table.Opened)
    @on(Sheet.Opened)
    def _opened(self) -> None:
        self.desk.enter()

    @on(Table.HeadClicked)
    def _head_clicked(self, event: Table.HeadClicked) -> None:
        column = self.view.column_at(event.x, self.table.size.width)
        if column is not None:
            self.view.sort_by(column)
            self.table.update()

    @on(KeyBar.Pressed)
    def _hint_pressed(self, event: KeyBar.Pressed) -> None:
        self.run_command(event.command.id)

    @on(Prompt.Changed)
    def _prompt_changed(self, event: Prompt.Changed) -> None:
        if event.mode == "filter":
            self.desk.apply_filter(event.text)

    @on(Prompt.Done)
    async def _prompt_done(self, event: Prompt.Done) -> None:
        self.keys.display = True
        self.focus_body()
        if event.mode == "filter":
            self.desk.apply_filter(event.text if event.accepted else "")
        elif event.accepted:
            self._run_line(event.text)

    @work(group="command", exit_on_error=True)
    async def _run_line(self, text: str) -> None:
        await self.desk.run_line(text)

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= PREVIEW_FROM, "-wide")
        if self.place.view in ("list", "files") and not self._booting:
            self._display(self.body.rows)
            self.call_after_refresh(self.body.refresh_preview)
