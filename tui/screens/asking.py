"""What commands ask of the user: answers, a number, a text, the terminal for a while."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..commands.desk import Choice
from ..render.spans import Block
from .ask import Ask, AskNumber, AskText
from .editor import EditorFailure, edit_text
from .review import Review
from .shell import open_shell

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

    async def ask_text(self, title: str, words: str) -> str | None:
        return await self._screen.app.push_screen_wait(AskText(title, words))

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

    async def shell(self, key: str, part: str) -> None:
        namespace, _, name = key.rpartition("/")
        problem = await open_shell(self._screen.podarium, namespace, name, part)
        if problem:
            self._screen.flash(problem, "bad")
