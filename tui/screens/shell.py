"""A shell in a container, on the terminal that the dashboard lends it.

The bytes are passed on as they are both ways, so whatever the terminal can do the shell can do.
Nothing is painted meanwhile; what the cluster says is still heard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.client.errors import Unreachable
from engine.client.session import Session, execute
from engine.client.terminal import converse, show
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
    where = f"{container} of {namespace}/{pod}"
    try:
        async with execute(
            app.connection, namespace, pod, SHELL, container=container, terminal=True, stdin=True
        ) as session:
            # suspend() comes back only when its body does not raise.
            with app.suspend(), app.batch_update():
                return await _lend(session, where)
    except StatusError as error:
        return _refusal(error, where)
    except Unreachable as error:
        return str(error)


async def _lend(session: Session, where: str) -> str:
    show(1, f"podarium: a shell in {inert(where)}; exit, or ctrl-d, comes back\n".encode())
    try:
        code = await converse(session, interactive=True, tty=True)
    except StatusError as error:
        return _refusal(error, where)
    except ConnectionError:
        return f"the connection to {where} was lost"
    except ProtocolError as error:
        return f"{where}: {error}"
    if code in (CANNOT, NOT_FOUND):
        return f"the image has no shell: {where}"
    return f"the shell in {where} was ended: exit code {code}" if code else ""


def _refusal(error: StatusError, where: str) -> str:
    text = str(error)
    if any(words in text.lower() for words in _NO_SUCH) and "sh" in text and error.code >= 500:
        return f"the image has no shell: {where}"
    return text
