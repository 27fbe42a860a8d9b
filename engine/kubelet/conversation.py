"""Talking with a pod's containers and ports: exec, attach, port-forward, in Kubernetes' words."""

import errno
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Protocol

from engine.runtime.runtime import KeeperLost, Runtime, RuntimeFailure, Session, StartError
from engine.types.containers import Container
from engine.types.pods import Pod
from engine.types.status import BadRequest, InternalError, ServiceUnavailable, StatusError

NOT_EXECUTABLE, NOT_FOUND = 126, 127
"""As a shell says that it could not execute something (sh(1))."""
DIAL_S = 10.0


class Output(Protocol):
    async def read(self) -> bytes: ...


class NotExecuted:
    """Stands for the session of a command that could not be executed: it says why, and ends with
    a shell's code for that."""

    def __init__(self, error: StartError, terminal: bool) -> None:
        end = "\r\n" if terminal else "\n"
        text = _Text(f"podarium: {error}{end}".encode())
        self.outputs: Mapping[str, Output] = {"stdout" if terminal else "stderr": text}
        self._code = NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE

    async def write(self, data: bytes) -> None:
        """Nobody reads it."""

    def end_input(self) -> None:
        """Nobody reads it."""

    def resize(self, columns: int, rows: int) -> None:
        """There is no terminal."""

    async def wait(self) -> int | None:
        return self._code

    def close(self) -> None:
        """There is nothing to end."""


class _Text:
    def __init__(self, text: bytes) -> None:
        self._text = text

    async def read(self) -> bytes:
        text, self._text = self._text, b""
        return text


def not_running(container: str) -> StatusError:
    return StatusError(f'container not found ("{container}")', code=404, reason="NotFound")


async def execute(
    runtime: Runtime, id: str, name: str, command: Sequence[str], *, terminal: bool, stdin: bool
) -> Session | NotExecuted:
    """A command in the container `name`, of that id. Raise StatusError."""
    try:
        return await runtime.session(id, command, terminal=terminal, stdin=stdin)
    except StartError as error:
        return NotExecuted(error, terminal)
    except KeeperLost as error:
        raise InternalError(error) from error
    except (RuntimeFailure, OSError) as error:
        raise _failure(error, name) from error


async def attach(runtime: Runtime, id: str, container: Container, *, stdin: bool) -> Session:
    """The container's first process. Raise StatusError."""
    try:
        return await runtime.attach_to(id, stdin=stdin, once=container.stdin_once)
    except (RuntimeFailure, OSError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENXIO:
            raise BadRequest(
                f"container {container.name} takes no input: its pod must say `stdin: true`"
            ) from error
        raise _failure(error, container.name) from error


async def dial(runtime: Runtime, pod: Pod, port: int) -> socket.socket:
    """A connection to a port on the loopback of the pod. Raise StatusError."""
    failure: OSError | None = None
    for host in ("127.0.0.1", "::1"):
        try:
            return await runtime.dial(host, port, DIAL_S, sandbox=pod.metadata.uid)
        except RuntimeFailure as error:
            raise InternalError(error) from error
        except OSError as error:
            failure = failure or error
    assert failure is not None
    words = os.strerror(failure.errno).lower() if failure.errno else str(failure)
    where = f'inside pod "{pod.metadata.name}"'
    raise ServiceUnavailable(f"failed to connect to localhost:{port} {where}: {words}") from failure


def _failure(error: Exception, container: str) -> StatusError:
    if isinstance(error, OSError) and error.errno in (errno.ESRCH, errno.ENOENT):
        return not_running(container)
    return InternalError(error)
