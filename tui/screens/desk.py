"""What commands can do to the main screen."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.types import registry
from engine.types.core import Event
from engine.types.meta import Object

from ..commands import line as command_line
from ..commands.all import COMMANDS
from ..commands.desk import Choice
from ..model.cluster import Cluster
from ..model.columns import namespaced
from ..model.forwards import Forward
from ..model.journal import Entry
from ..model.place import FORWARDS, JOURNAL, OVERVIEW, TEXTS, Place, Within
from ..pages.heat import HEAT_WORDS, HEATS
from ..widgets.log_view import JSON
from .help import Help
from .moving import Moving

if TYPE_CHECKING:
    from .main import MainScreen

DETAILS = {"pods": "pod", "nodes": "node", "images": "image"}
"""Kinds with a page of their own, and its name."""


class ScreenDesk(Moving):
    """Implements `commands.desk.Desk` on a main screen."""

    def __init__(self, screen: MainScreen) -> None:
        super().__init__(screen)
        self.cluster: Cluster = screen.cluster
        self.forwards = screen.pages.forwards
        self.forwards.on_change = self._forwards_changed

    @property
    def namespace(self) -> str:
        return self._screen.namespace

    # -- what is chosen ----------------------------------------------------------------------

    def _target(self) -> tuple[str, str]:
        """Plural and key under the cursor, or of the view itself."""
        screen, place = self._screen, self.place
        if place.view == "list":
            return place.kind, screen.table.key
        if place.view in ("overview", "xray"):
            kind, _, key = screen.sheet.target.partition(":")
            return kind, key
        return place.kind, place.key

    def subject(self) -> tuple[str, str, Object] | None:
        kind, key = self._target()
        obj = self.cluster.get(kind, key) if key else None
        return None if obj is None else (kind, key, obj)

    def forward(self) -> Forward | None:
        id = self._screen.sheet.target.removeprefix("forward:")
        return next((made for made in self.forwards.all if made.id == id), None)

    def _forwards_changed(self) -> None:
        if self.place.view == "forwards":
            self._screen.sheet.update()

    def subjects(self) -> list[tuple[str, str, Object]]:
        marked = self._screen.view.marked() if self.place.view == "list" else []
        if not marked:
            found = self.subject()
            return [] if found is None else [found]
        known = self.cluster.objects(self.place.kind)
        return [(self.place.kind, key, known[key]) for key in marked]

    def toggle_mark(self) -> None:
        screen = self._screen
        if screen.table.key:
            screen.view.toggle_mark(screen.table.key)
            screen.table.repaint()
            screen.table.move(1)
            screen.tell_place()

    def mark_range(self) -> None:
        screen = self._screen
        if screen.table.key:
            screen.view.mark_range(screen.table.key)
            screen.table.repaint()
            screen.tell_place()

    def clear_marks(self) -> bool:
        screen = self._screen
        if self.place.view != "list" or not screen.view.clear_marks():
            return False
        screen.table.repaint()
        screen.tell_place()
        return True

    def record(self, line: str, problem: str = "") -> None:
        if line:
            self._screen.journal.add(Entry(self.cluster.now(), line, problem))

    # -- going -------------------------------------------------------------------------------

    def go(self, place: Place) -> None:
        self._screen.go(place)

    def replace(self, place: Place) -> None:
        self._screen.replace(place)

    def back(self) -> bool:
        return self._screen.back()

    def open_list(self, kind: str, within: Within | None = None) -> None:
        self._screen.open_list(kind, within)

    def enter(self) -> None:
        place = self.place
        if place.view == "files":
            if (shown := self.images.enter()) is not None:
                self.go(shown)
            return
        if place.view == "image" and self._screen.sheet.target.startswith("layer:"):
            part = self._screen.sheet.target.removeprefix("layer:")
            self.go(Place("files", "images", place.key, part))
            return
        if place.view in ("node", "image"):
            kind, _, key = self._screen.sheet.target.partition(":")
        else:
            kind, key = self._target()
        obj = self.cluster.get(kind, key) if key else None
        if obj is None or place.view in ("pod", "container", *TEXTS):
            return
        if isinstance(obj, Event):
            self._enter_event(obj)
        elif kind in DETAILS:
            self.go(Place(DETAILS[kind], kind, key))
        elif kind == "namespaces":
            self.set_namespace(key)
            self.open_list("pods")
        elif kind in ("deployments", "replicasets", "jobs"):
            self.open_list("pods", Within("owner", obj.metadata.uid, obj.metadata.name))
        else:
            self.go(Place("describe", kind, key))

    def _enter_event(self, event: Event) -> None:
        """To the object that an event is about."""
        about = event.involved_object
        resource = registry.find(about.kind)
        if resource is None:
            self.flash(f"{about.kind} {about.name} cannot be shown", "warn")
            return
        key = f"{about.namespace}/{about.name}" if resource.namespaced else about.name
        if self.cluster.get(resource.plural, key) is None:
            self.flash(f"{about.kind.lower()} {about.name} is gone", "warn")
            return
        self.go(Place(DETAILS.get(resource.plural, "describe"), resource.plural, key))

    def set_namespace(self, namespace: str) -> None:
        screen = self._screen
        screen.namespace = screen.pages.namespace = namespace
        if screen.place.view == "list" and namespaced(screen.place.kind):
            screen.view.namespace = namespace
            screen.view.forget_layout()
            screen.view.rebuild()
            screen.table.show(screen.view, screen.table.key)
        elif screen.place.view == "overview":
            screen.sheet.update()
        screen.tell_place()

    # -- filter and command line -------------------------------------------------------------

    def prompt(self, mode: str, text: str = "") -> None:
        screen = self._screen
        if mode == "filter" and not text:
            text = self._filter()
        screen.keys.display = False
        screen.prompt_line.start(mode, text)

    def _filter(self) -> str:
        screen = self._screen
        if self.place.view == "list":
            return screen.view.filter
        if self.place.view == "files":
            return self.images.files.search
        if self.place.view == "logs":
            return screen.log_view.search
        return screen.text.search

    def apply_filter(self, text: str) -> None:
        """Narrow the list or the log; search the text."""
        screen = self._screen
        if self.place.view == "list":
            screen.view.set_filter(text)
            screen.table.update()
        elif self.place.view == "files":
            self.images.find(text)
        elif self.place.view == "logs":
            screen.log_view.set_filter(text)
        elif self.place.view in TEXTS:
            screen.text.set_search(text)
        screen.tell_place()

    def clear_filter(self) -> bool:
        if self.place.view not in ("list", "files", "logs", *TEXTS) or not self._filter():
            return False
        self.apply_filter("")
        return True

    async def run_line(self, text: str) -> None:
        """Obey a line typed after `:`."""
        order = command_line.parse(text)
        if order.problem:
            self.flash(order.problem, "warn")
        elif order.do == "quit":
            await self.leave()
        elif order.do == "help":
            self.show_help()
        elif order.do == "forwards":
            self.go(FORWARDS)
        elif order.do == "journal":
            self.go(JOURNAL)
        elif order.do == "overview":
            self.go(OVERVIEW)
        elif order.do == "list":
            if order.namespace is not None:
                self.set_namespace(order.namespace)
            self._screen.start_at(Place("list", order.kind))
            if order.filter:
                self.apply_filter(order.filter)

    # -- talking to the user -----------------------------------------------------------------

    def flash(self, text: str, role: str = "text") -> None:
        self._screen.flash(text, role)

    async def leave(self) -> None:
        app = self._screen.podarium
        if not app.owns_engine or self._screen.boot.failed:
            app.exit("detached")
            return
        answer = await self.ask(
            f"Leave cluster {self.cluster.name}?",
            ["Its containers can go on running without this screen."],
            [
                Choice("keep", "Keep running", "ok"),
                Choice("stop", "Stop cluster", "bad"),
                Choice("cancel", "Cancel"),
            ],
            "keep",
        )
        if answer in ("keep", "stop"):
            app.exit(answer)

    def show_help(self) -> None:
        self._screen.app.push_screen(
            Help(COMMANDS.applying(self.place.scopes), self._screen.podarium.problems)
        )

    def show_palette(self) -> None:
        self._screen.app.action_command_palette()

    def next_theme(self) -> None:
        try:
            self.flash(f"theme {self._screen.podarium.next_theme()}")
        except OSError as error:
            self.flash(f"for now only: {error.filename}: {error.strerror}", "warn")

    # -- logs --------------------------------------------------------------------------------

    async def replay(self, what: str) -> None:
        await self.replaying.do(what)

    def all_parts(self) -> None:
        if self.place.part:
            self.replace(replace(self.place, part="", previous=False))
        else:
            self.next_part(1)

    def mark(self) -> None:
        clock = time.strftime("%H:%M:%S", time.gmtime(self.cluster.now()))
        if not self._screen.log_view.mark(f"mark {clock}"):
            self.flash("there is no line to mark", "warn")

    def copy(self) -> None:
        text = self._screen.log_view.in_sight()
        self._screen.app.copy_to_clipboard(text)
        self.flash(f"{len(text.splitlines())} lines copied", "ok")

    def next_match(self, step: int) -> None:
        text = self._screen.text
        if not text.search:
            self.flash("search first: /", "text")
        elif not text.matches():
            self.flash(f"nothing matches /{text.search}", "warn")
        else:
            text.next_match(step)

    def sort_by(self, letter: str) -> None:
        screen = self._screen
        for column in screen.view.listing.columns:
            if column.key == letter:
                screen.view.sort_by(column)
                screen.table.update()
                return

    def toggle(self, what: str) -> None:
        screen = self._screen
        view = screen.log_view
        if what == "heat":
            here = HEATS.index(screen.pages.heat)
            screen.pages.heat = HEATS[(here + 1) % len(HEATS)]
            screen.sheet.update()
            screen.flash(f"cells show {HEAT_WORDS[screen.pages.heat]}")
        elif what == "problems":
            screen.view.only_problems = not screen.view.only_problems
            screen.view.rebuild()
            screen.table.update()
            screen.tell_place()
        elif what == "whole":
            screen.body.alone = not screen.body.alone
            screen.body.display_only(screen.table)
        if what == "follow":
            view.toggle_follow()
        elif what == "wrap":
            view.wrap = not view.wrap
            view.left = 0
            view.redraw()
        elif what == "json":
            view.json = JSON[(JSON.index(view.json) + 1) % len(JSON)]
            view.redraw()
        elif what == "timestamps":
            view.timestamps = not view.timestamps
            view.redraw()
        self._screen.status.repaint()
