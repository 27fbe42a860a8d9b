"""What engine and keeper say to each other: marshal over a seqpacket socket, with descriptors.

    request     (number, verb, *arguments)
    reply       (number, True, result) or (number, False, failure)
    event       (0, name, *facts)

marshal needs no import and is fast, and is safe here: both ends are the same program and the same
user. What does not fit a datagram travels in a memfd.
"""

from __future__ import annotations

import array
import errno
import marshal
import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# A datagram has to fit the socket's buffer, of which the kernel counts about double its size.
_DATAGRAM = 32 * 1024
_MAX_FDS = 8
_INLINE, _IN_MEMFD = b"i", b"m"

VERSION = 7
"""Changes with the meaning of any message: an engine speaks only to a keeper of its own version.

All versions have in common "hello" (version, pid, digest of the program, ...), with descriptors of
the node's network and mount namespaces, and "re-exec", by which a keeper of one becomes a keeper of
the other.
"""


class Packet:
    """One message, made ready to be sent, perhaps later."""

    __slots__ = ("_data", "_fds")

    def __init__(self, message: tuple[object, ...], fds: tuple[int, ...] = ()) -> None:
        """`fds` are duplicated: the caller may close them at once."""
        data = marshal.dumps(message)  # type: ignore[arg-type]
        self._fds = [os.dup(fd) for fd in fds]
        self._data = _INLINE + data
        if len(data) > _DATAGRAM:
            memfd = os.memfd_create("podarium", os.MFD_CLOEXEC)
            self._fds.append(memfd)
            with open(memfd, "wb", buffering=0, closefd=False) as file:
                file.write(data)
            self._data = _IN_MEMFD

    @classmethod
    def adopted(cls, data: bytes, fds: list[int]) -> Packet:
        """From another one's kept(); the descriptors become its own."""
        packet = cls.__new__(cls)
        packet._data, packet._fds = data, fds
        return packet

    def kept(self) -> tuple[bytes, list[int]]:
        """What it is made of; the descriptors stay its own."""
        return self._data, list(self._fds)

    def send(self, sock: socket.socket) -> None:
        """Raise BlockingIOError when it has to be tried again later."""
        passed = array.array("i", self._fds).tobytes()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)] if passed else []
        sock.sendmsg([self._data], rights, socket.MSG_NOSIGNAL)
        self.close()

    def close(self) -> None:
        while self._fds:
            os.close(self._fds.pop())


def receive(sock: socket.socket) -> tuple[tuple[Any, ...], list[int]] | None:
    """The next message and its descriptors, now the caller's; None when the other end is gone."""
    # Not socket.recv_fds(), which drops the flags it is given: every program that we start from
    # then on would inherit the descriptors.
    room = socket.CMSG_LEN(_MAX_FDS * array.array("i").itemsize)
    data, rights, flags, _ = sock.recvmsg(_DATAGRAM + 1024, room, socket.MSG_CMSG_CLOEXEC)
    fds = [fd for _, _, passed in rights for fd in array.array("i", passed)]
    if not data:
        return None
    if flags & socket.MSG_CTRUNC:
        # RLIMIT_NOFILE: some of them are lost, and which is not told.
        while fds:
            os.close(fds.pop())
    if data[:1] == _INLINE:
        return marshal.loads(data[1:]), fds
    memfd = fds.pop()
    with open(memfd, "rb", buffering=0) as file:
        file.seek(0)
        return marshal.loads(file.readall()), fds


def receive_fd(sock: socket.socket) -> int:
    """The one descriptor that was sent, with a byte, over a stream socket. Raise OSError."""
    room = socket.CMSG_LEN(array.array("i").itemsize)
    _, rights, _, _ = sock.recvmsg(1, room, socket.MSG_CMSG_CLOEXEC)
    for _, _, passed in rights:
        return array.array("i", passed)[0]
    raise OSError(errno.EPIPE, "no terminal was sent")
