"""Several streams in one WebSocket: v5.channel.k8s.io, and v4, which cannot end one stream alone.

Each message is a byte that names its channel, and data (kubernetes: KEP-4006; staging
k8s.io/apimachinery/pkg/util/remotecommand).
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from engine.stream.socket import ProtocolError
from engine.types.status import StatusError, from_status

V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"
PROTOCOLS = (V5, V4)
"""The best first."""

EXIT_REASON, EXIT_CAUSE = "NonZeroExitCode", "ExitCode"
_SIZE_MAX = 0xFFFF  # struct winsize has unsigned shorts


class Channel(IntEnum):
    STDIN = 0
    STDOUT = 1
    STDERR = 2
    STATUS = 3
    RESIZE = 4
    CLOSE = 255
    """v5 only; its data is the channel that ends."""


def frame(channel: Channel, data: bytes = b"") -> bytes:
    """One message."""
    return bytes((channel,)) + data


def parse(message: bytes) -> tuple[Channel, bytes]:
    """Raise ProtocolError for a message that is none of ours."""
    if not message:
        raise ProtocolError("a message without its channel")
    try:
        return Channel(message[0]), message[1:]
    except ValueError:
        raise ProtocolError(f"there is no channel {message[0]}") from None


def size(columns: int, rows: int) -> bytes:
    """The data of a RESIZE."""
    return msgspec.json.encode({"Width": columns, "Height": rows})


class _Size(msgspec.Struct):
    Width: int = 0
    Height: int = 0


def read_size(data: bytes) -> tuple[int, int]:
    """Columns and rows. Raise ProtocolError."""
    try:
        found = msgspec.json.decode(data, type=_Size)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"a terminal's size that cannot be read: {error}") from error
    if not (0 <= found.Width <= _SIZE_MAX and 0 <= found.Height <= _SIZE_MAX):
        raise ProtocolError(f"a terminal of {found.Width} by {found.Height}")
    return found.Width, found.Height


def outcome(code: int | None) -> bytes:
    """The data of a STATUS: how a command ended, or without a code that there is no more."""
    if not code:
        return msgspec.json.encode({"metadata": {}, "status": "Success"})
    return msgspec.json.encode(
        {
            "metadata": {},
            "status": "Failure",
            "message": f"command terminated with non-zero exit code: exit status {code}",
            "reason": EXIT_REASON,
            "details": {"causes": [{"reason": EXIT_CAUSE, "message": str(code)}]},
        }
    )


def failure(error: StatusError) -> bytes:
    """The data of a STATUS: there is no command that could have ended."""
    return msgspec.json.encode(error.to_status())


class _Cause(msgspec.Struct):
    reason: str = ""
    message: str = ""
    field: str = ""


class _Details(msgspec.Struct):
    causes: list[_Cause] | None = None


class _Status(msgspec.Struct):
    status: str
    reason: str = ""
    message: str = ""
    code: int | None = None
    details: _Details | None = None


def read_outcome(data: bytes) -> int:
    """The exit code. Raise the StatusError that was sent instead; ProtocolError."""
    try:
        status = msgspec.json.decode(data, type=_Status)
        if status.status == "Success":
            return 0
        causes = (status.details and status.details.causes) or []
        if status.reason == EXIT_REASON:
            return next(int(cause.message) for cause in causes if cause.reason == EXIT_CAUSE)
    except (msgspec.MsgspecError, ValueError, StopIteration) as error:
        raise ProtocolError(f"an outcome that cannot be read: {data[:200]!r}") from error
    raise from_status(msgspec.json.decode(data))
