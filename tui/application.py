"""The dashboard as an application: themes, the main screen, the palette, leaving."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App, SystemCommand
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.events import AppBlur, Event, InputEvent
from textual.screen import Screen

from engine.client.client import Client

from . import runtime
from .commands.all import COMMANDS
from .commands.command import key_sign
from .model.boot import Boot
from .model.cluster import Cluster
from .model.forwards import Forwards
from .screens.main import MainScreen
from .themes import user
from .themes.ascii import Ascii, wanted
from .themes.palette import PALETTES
from .themes.textual import themes

if TYPE_CHECKING:
    from .endpoint import Connection

_HAND = ("Movement", "Namespaces")
"""Groups of commands that only make sense as keys."""


class Commands(Provider):
    """The palette's entries: every command that applies where one is."""

    def _here(self) -> list[tuple[str, str, Callable[[], None]]]:
        screen = next(
            (s for s in reversed(self.app.screen_stack) if isinstance(s, MainScreen)), None
        )
        if screen is None:
            return []
        found: list[tuple[str, str, Callable[[], None]]] = []
        here = [
            c
            for c in COMMANDS.applying(screen.place.scopes)
            if c.group not in _HAND and not (c.changes and screen.podarium.read_only)
        ]
        for command in sorted(here, key=lambda c: (c.rank, c.title)):
            keys = f"  {key_sign(command.keys[0])}" if command.keys else ""

            run = partial(screen.run_command, command.id)
            found.append((f"{command.title}{keys}", command.help, run))
        return found

    async def discover(self) -> Hits:
        for title, help_text, run in self._here():
            yield DiscoveryHit(title, run, help=help_text)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for title, help_text, run in self._here():
            score = matcher.match(title)
            if score > 0:
                yield Hit(score, matcher.highlight(title), run, help=help_text)


class PodariumApp(App[str], inherit_bindings=False):
    """One cluster on screen. Its result is `keep`, `stop` or `detached`.

    Textual's own keys are left out, so that every key is a command of ours and can be moved.
    """

    TITLE = "podarium"
    COMMANDS: ClassVar[set[Any]] = {Commands}
    ENABLE_COMMAND_PALETTE = True
    CSS = """
    MainScreen { layout: vertical; background: $background; }
    #body { height: 1fr; }
    #main { width: 1fr; height: 1fr; }
    #strip { height: 14; }
    #side { width: 42%; height: 1fr; border-left: solid $line; padding: 0 1; display: none; }
    Surface { scrollbar-size: 0 0; }
    CommandPalette > Vertical { margin-top: 2; width: 76; max-width: 90%; }
    """

    def __init__(
        self,
        connection: Connection,
        *,
        cluster: str,
        boot: Path | None = None,
        t0: float | None = None,
        owns_engine: bool = True,
        read_only: bool = False,
        problems: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.connection = connection
        self.clock = clock
        self.stopwatch = stopwatch
        """What the start is timed with."""
        self.owns_engine = owns_engine
        """Whether leaving asks what becomes of the cluster."""
        self.read_only = read_only
        """Whether commands that change the cluster are refused."""
        self.problems = problems
        """What is wrong with the user's keymap; told once the first view is shown, and in `?`."""
        self.cluster = Cluster(Client(connection), name=cluster, clock=clock)
        self.forwards = Forwards(connection)
        self.boot = Boot(boot, stopwatch() if t0 is None else t0)
        self._last_input = clock()
        for theme in themes():
            self.register_theme(theme)
        self.theme = user.chosen()
        if wanted():
            self._filters.append(Ascii())

    def get_default_screen(self) -> Screen[Any]:
        return MainScreen(self.cluster, self.boot, self.forwards)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        return ()

    def on_ready(self) -> None:
        runtime.after_first_paint()
        self.set_interval(runtime.IDLE_SECONDS, self._collect_when_idle)

    async def on_event(self, event: Event) -> None:
        # Not on_key: a key that is a command's is never dispatched as a message.
        if isinstance(event, InputEvent):
            self._last_input = self.clock()
        await super().on_event(event)

    def on_app_blur(self, event: AppBlur) -> None:
        runtime.when_idle()

    def _collect_when_idle(self) -> None:
        if self.clock() - self._last_input >= runtime.IDLE_SECONDS:
            runtime.when_idle()

    async def on_unmount(self) -> None:
        await self.forwards.close()
        await self.cluster.client.close()

    def next_theme(self) -> str:
        """The next palette; its name. Raise OSError when the choice cannot be kept."""
        names = list(PALETTES)
        here = names.index(self.theme) if self.theme in names else -1
        self.theme = name = names[(here + 1) % len(names)]
        user.choose(name)
        return name
