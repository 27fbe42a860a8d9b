"""Sockets between processes of one machine, as descriptors: unix(7).

For commands that live for milliseconds, of which the import of Python's module would take a third.
"""

import ctypes
import errno
import os
import struct

from engine.linux.call import syscall

SOCK_STREAM, SOCK_SEQPACKET = 1, 5
_AF_UNIX, _SOCK_CLOEXEC = 1, os.O_CLOEXEC
_SOL_SOCKET, _SCM_RIGHTS, _MSG_NOSIGNAL = 1, 1, 0x4000
_LONGEST = 107
"""Bytes of a path in an address."""


def socketpair(kind: int = SOCK_SEQPACKET) -> tuple[int, int]:
    """socketpair(2): two connected ends, close-on-exec."""
    ends = (ctypes.c_int * 2)()
    syscall("socketpair", _AF_UNIX, kind | _SOCK_CLOEXEC, 0, ends, about="socketpair")
    return ends[0], ends[1]


def listen(path: bytes, kind: int = SOCK_SEQPACKET) -> int:
    """socket(2), bind(2) and listen(2): where one may connect to us."""
    fd = _socket(kind)
    try:
        address = _address(path)
        syscall("bind", fd, address, len(address), about=path)
        syscall("listen", fd, 1, about=path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def accept(fd: int) -> int:
    """accept4(2)."""
    return syscall("accept4", fd, None, None, _SOCK_CLOEXEC, about="accept")


def connect(path: bytes, kind: int = SOCK_SEQPACKET) -> int:
    """socket(2) and connect(2)."""
    fd = _socket(kind)
    try:
        address = _address(path)
        syscall("connect", fd, address, len(address), about=path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def send_fds(sock: int, data: bytes, fds: tuple[int, ...]) -> None:
    """sendmsg(2) with SCM_RIGHTS: the other end gets descriptors of the same files."""
    rights = struct.pack(f"@{len(fds)}i", *fds)
    # struct cmsghdr, padded to what its length is a multiple of.
    control = struct.pack("@Nii", 16 + len(rights), _SOL_SOCKET, _SCM_RIGHTS) + rights
    control += b"\0" * (-len(control) % 8)
    body = ctypes.create_string_buffer(data, len(data))
    ancillary = ctypes.create_string_buffer(control, len(control))
    vector = ctypes.create_string_buffer(struct.pack("@PN", ctypes.addressof(body), len(data)))
    # struct msghdr.
    message = struct.pack(
        "@PI4xPNPNi4x",
        0,
        0,
        ctypes.addressof(vector),
        1,
        ctypes.addressof(ancillary),
        len(control),
        0,
    )
    sent = syscall("sendmsg", sock, message, _MSG_NOSIGNAL, about="sendmsg")
    while sent < len(data):
        sent += os.write(sock, data[sent:])


def _socket(kind: int) -> int:
    return syscall("socket", _AF_UNIX, kind | _SOCK_CLOEXEC, 0, about="socket")


def _address(path: bytes) -> bytes:
    """struct sockaddr_un."""
    if len(path) > _LONGEST:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
    return struct.pack("=H", _AF_UNIX) + path + b"\0"
