"""What commands ask of the user: answers, a number, a text, the terminal for a while."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..commands.desk import Choice
from ..render.spans import Block
from .ask import Ask, AskNumber, AskText
from .checklist import Checklist
from .editor import EditorFailure, edit_text
from .review import Review
from .saving import save
from .shell import attach_to, open_shell, run_command

if TYPE_CHECKING:
    from .main import MainScreen


class Asking:
    """That part of `commands.desk.Desk`."""

    def __init__(self, screen: MainScreen) -> None:
        self._screen = screen

    async def ask(
        self, title: str, lines: Sequence[str], choices: Sequence[Choice], default: str
    ) -> str | None:
        return await self._screen.app.push_screen_wait(Ask(title, lines, choices, default))

    async def ask_number(self, title: str, label: str, value: int) -> int | None:
        return await self._screen.app.push_screen_wait(AskNumber(title, label, value))

    async def ask_text(self, title: str, words: str, value: str = "") -> str | None:
        return await self._screen.app.push_screen_wait(AskText(title, words, value))

    async def review(
        self, title: str, text: Block, choices: Sequence[Choice], default: str
    ) -> str | None:
        return await self._screen.app.push_screen_wait(Review(title, text, choices, default))

    async def edit_text(self, text: str, name: str) -> str | None:
        try:
            return await edit_text(self._screen.podarium, text, name)
        except EditorFailure as failure:
            self._screen.flash(str(failure), "bad")
            return None

    async def choose_columns(self) -> None:
        screen = self._screen
        view, hidden = screen.view, screen.hidden
        heads = [column.head for column in view.listing.columns if column.head not in ("", "NAME")]
        shown = {head: head not in view.hidden for head in heads}
        kind = view.listing.kind
        chosen = await screen.app.push_screen_wait(Checklist(f"columns of {kind}", shown))
        if chosen is None:
            return
        try:
            hidden.choose(kind, chosen)
        except OSError as error:
            screen.flash(f"for now only: {error.filename}: {error.strerror}", "warn")
        view.hidden = hidden.of(kind)
        view.forget_layout()
        screen.table.repaint()

    async def save(self, what: str) -> None:
        await save(self._screen, what)

    def browse(self, url: str) -> bool:
        self._screen.app.copy_to_clipboard(url)
        try:
            browser = webbrowser.get()
        except webbrowser.Error:
            return False
        # One that runs in the terminal would draw over the dashboard.
        return type(browser) is not webbrowser.GenericBrowser and browser.open(url)

    async def shell(self, key: str, part: str) -> None:
        namespace, _, name = key.rpartition("/")
        problem = await open_shell(self._screen.podarium, namespace, name, part)
        if problem:
            self._screen.flash(problem, "bad")

    async def attach(self, key: str, part: str) -> None:
        namespace, _, name = key.rpartition("/")
        problem = await attach_to(self._screen.podarium, namespace, name, part)
        if problem:
            self._screen.flash(problem, "warn")

    async def run(self, key: str, part: str, command: Sequence[str]) -> None:
        namespace, _, name = key.rpartition("/")
        problem = await run_command(self._screen.podarium, namespace, name, part, command)
        if problem:
            self._screen.flash(problem, "warn")
