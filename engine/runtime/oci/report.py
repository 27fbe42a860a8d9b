"""What a container's process says between clone and exec (see child.py), and the answers."""

from __future__ import annotations

import marshal
import os

from engine.runtime.errors import StartError
from engine.runtime.oci.gate import GO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MESSAGE = 65536


class Report:
    """The descriptor of the socket that it says it on. `steps`: what it does, and to what."""

    def __init__(self, socket: int, steps: list[tuple[str, str]]) -> None:
        self.socket = socket
        self.steps = steps
        self.warnings: list[str] = []

    def listen(self, until: str, answers: Mapping[str, Callable[..., None]]) -> None:
        """Do what it asks for, until it says `until`, and nothing more in the case of "ready".

        Raise StartError when it fails, and whatever an answer raises.
        """
        heard = False
        while data := self._next():
            kind, *facts = marshal.loads(data)
            if kind == "failed":
                index, number, text, about = facts
                name, object = self.steps[index]
                raise StartError(name, object, number, text, about)
            if kind == until:
                self.warnings = facts[0] if until == "created" else facts[1]
                if until == "created":
                    return
                heard = True
            elif kind in answers:
                answers[kind](*facts)
                os.write(self.socket, GO)
        if not heard:
            text = "its process ended before it could execute the program"
            raise StartError("set-up", "", 0, text, "")

    def _next(self) -> bytes:
        """What it says, nothing when it has ended."""
        try:
            return os.read(self.socket, _MESSAGE)
        except ConnectionResetError:
            # Before it had heard of us.
            return b""
