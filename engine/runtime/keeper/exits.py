"""What became of containers, where the end of the keeper does not reach it: a file for each exit.

Written before anybody is told, and removed with the container: there are as many as there are ended
containers that nobody has removed. A keeper that starts finds what an earlier one could not tell.
"""

from __future__ import annotations

import marshal
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Exits:
    """`folder` has a file named by each container's id, which holds its last state."""

    def __init__(self, folder: str) -> None:
        """Raise OSError when the folder cannot be made."""
        self._folder = folder
        os.makedirs(folder, mode=0o700, exist_ok=True)

    def record(self, state: dict[str, Any]) -> None:
        """A container has ended. Where it cannot be written, the keeper alone knows of it."""
        # Of the trace nobody will ask again, and it is most of it.
        data = marshal.dumps({**state, "trace": []})
        try:
            fd = os.open(self._path(state["id"]), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, data)
            finally:
                os.close(fd)
        except OSError as error:
            _complain(f"the exit of container {state['id']} is not on disk: {error}")

    def forget(self, id: str) -> None:
        try:
            os.unlink(self._path(id))
        except FileNotFoundError:
            return

    def all(self) -> list[dict[str, Any]]:
        """The states of all that ended. What a crash left half written is removed."""
        found = []
        for id in sorted(os.listdir(self._folder)):
            with open(self._path(id), "rb") as file:
                data = file.read()
            try:
                found.append(marshal.loads(data))
            except (EOFError, ValueError, TypeError):
                self.forget(id)
        return found

    def clear(self) -> None:
        for id in os.listdir(self._folder):
            self.forget(id)

    def _path(self, id: str) -> str:
        return f"{self._folder}/{id}"


def _complain(text: str) -> None:
    try:
        os.write(2, text.encode() + b"\n")
    except OSError:
        # Our own log is on the same full disk.
        return
