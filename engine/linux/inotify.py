"""inotify(7): be told when a file grows or a folder changes, instead of looking again and again."""

import ctypes
import enum
import os
import struct
from typing import NamedTuple

from engine.linux.call import check, libc, string

_init1 = libc.inotify_init1
_init1.argtypes = (ctypes.c_int,)
_add_watch = libc.inotify_add_watch
_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)

_HEADER = struct.Struct("iIII")
_BUFFER = 64 * 1024


class IN(enum.IntFlag):
    """Events and options of inotify(7), in the kernel's spelling."""

    MODIFY = 0x2
    ATTRIB = 0x4
    CLOSE_WRITE = 0x8
    MOVED_FROM = 0x40
    MOVED_TO = 0x80
    CREATE = 0x100
    DELETE = 0x200
    DELETE_SELF = 0x400
    MOVE_SELF = 0x800
    Q_OVERFLOW = 0x4000
    IGNORED = 0x8000
    ONLYDIR = 0x1000000
    CLOEXEC = os.O_CLOEXEC
    NONBLOCK = os.O_NONBLOCK


class Event(NamedTuple):
    watch: int
    mask: IN
    cookie: int
    name: bytes


def inotify_init1(flags: IN | int = IN.CLOEXEC | IN.NONBLOCK) -> int:
    """inotify_init1(2): a new descriptor, readable when something happened."""
    return check(_init1(flags), "inotify")


def inotify_add_watch(fd: int, path: bytes, mask: IN | int) -> int:
    """inotify_add_watch(2): the number that the events of `path` will carry."""
    return check(_add_watch(fd, string(path), mask), path)


def read_events(fd: int) -> list[Event]:
    """What waits on a non-blocking inotify descriptor; empty when nothing does."""
    try:
        data = os.read(fd, _BUFFER)
    except BlockingIOError:
        return []
    events = []
    at = 0
    while at < len(data):
        watch, mask, cookie, length = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        events.append(Event(watch, IN(mask), cookie, data[at : at + length].rstrip(b"\0")))
        at += length
    return events
