"""A shell in a container, a command, or its own process, on the terminal that it is lent.

The bytes are passed on as they are both ways, so whatever the terminal can do the shell can do.
Nothing is painted meanwhile; what the cluster says is still heard.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.client.errors import Unreachable
from engine.client.session import Session, attach, execute
from engine.client.terminal import converse, show, typed
from engine.stream.socket import ProtocolError
from engine.types.status import StatusError

from ..render.text import inert

if TYPE_CHECKING:
    from ..application import PodariumApp

SHELL = ("sh", "-c", "if command -v bash >/dev/null; then bash; else sh; fi; exit 0")
"""Ends with 0 whatever was the last command in it, so that another code is about the shell."""
CANNOT, NOT_FOUND = 126, 127
_NO_SUCH = ("not found", "no such file")
"""How runtimes say that a program is not there, when they do not give a code."""


async def open_shell(app: PodariumApp, namespace: str, pod: str, container: str) -> str:
    """Lend the terminal until the shell ends; what went wrong, in words, or nothing."""
    opening = execute(
        app.connection, namespace, pod, SHELL, container=container, terminal=True, stdin=True
    )
    what = Lent(f"{container} of {namespace}/{pod}", "a shell in", "exit, or ctrl-d, comes back")
    code = await _lend(app, opening, what)
    if code in (CANNOT, NOT_FOUND):
        return f"the image has no shell: {what.where}"
    if isinstance(code, str):
        return code
    return f"the shell in {what.where} was ended: exit code {code}" if code else ""


async def run_command(
    app: PodariumApp, namespace: str, pod: str, container: str, command: Sequence[str]
) -> str:
    """Lend the terminal to any command, and then wait for Enter, so that what it said can be read;
    what went wrong, in words, or nothing."""
    opening = execute(
        app.connection, namespace, pod, command, container=container, terminal=True, stdin=True
    )
    words = shlex.join(command)
    what = Lent(f"{container} of {namespace}/{pod}", f"{words} in", "", wait=True)
    code = await _lend(app, opening, what)
    if isinstance(code, str):
        return code
    return f"{words}: exit code {code}" if code else ""


async def attach_to(app: PodariumApp, namespace: str, pod: str, container: str) -> str:
    """Lend the terminal to a container's first process, which has one; what went wrong, or nothing.
    Ctrl-p ctrl-q comes back and leaves it running."""
    opening = attach(app.connection, namespace, pod, container=container, terminal=True, stdin=True)
    where = f"{container} of {namespace}/{pod}"
    what = Lent(where, "attached to", "ctrl-p ctrl-q comes back", detach=True)
    code = await _lend(app, opening, what)
    if isinstance(code, str):
        return code
    return "" if code is None else f"{where} has ended: exit code {code}"


@dataclass(frozen=True)
class Lent:
    """To what the terminal is lent. `wait`: for Enter, at the end."""

    where: str
    words: str
    way_back: str
    detach: bool = False
    wait: bool = False


async def _lend(
    app: PodariumApp, opening: AbstractAsyncContextManager[Session], what: Lent
) -> int | str | None:
    """The exit code, None when the person left, or what went wrong, in words."""
    try:
        async with opening as session:
            # suspend() comes back only when its body does not raise.
            with app.suspend(), app.batch_update():
                return await _talk(session, what)
    except StatusError as error:
        return _refusal(error, what.where)
    except Unreachable as error:
        return str(error)


async def _talk(session: Session, what: Lent) -> int | str | None:
    way_back = f"; {what.way_back}" if what.way_back else ""
    show(1, f"podarium: {inert(what.words)} {inert(what.where)}{way_back}\n".encode())
    try:
        code = await converse(session, interactive=True, tty=True, detach=what.detach)
    except StatusError as error:
        return _refusal(error, what.where)
    except ConnectionError:
        return f"the connection to {what.where} was lost"
    except ProtocolError as error:
        return f"{what.where}: {error}"
    if what.wait:
        show(1, f"\npodarium: exit code {code}; Enter comes back ".encode())
        with suppress(StopAsyncIteration):
            await anext(typed())
    return code


def _refusal(error: StatusError, where: str) -> str:
    text = str(error)
    if any(words in text.lower() for words in _NO_SUCH) and "sh" in text and error.code >= 500:
        return f"the image has no shell: {where}"
    return text
