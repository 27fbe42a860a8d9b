"""The options of a mount (config.md, "Linux mount options"). Pure."""

from __future__ import annotations

import os

from engine.linux.flags import MOUNT_ATTR, MS

_ATIME = 0x70
"""MOUNT_ATTR__ATIME: the access-time attributes are one field, cleared as a whole."""
_RELATIME = 0

_SET: dict[str, int] = {
    "ro": MOUNT_ATTR.RDONLY,
    "nosuid": MOUNT_ATTR.NOSUID,
    "nodev": MOUNT_ATTR.NODEV,
    "noexec": MOUNT_ATTR.NOEXEC,
    "nodiratime": MOUNT_ATTR.NODIRATIME,
    "nosymfollow": MOUNT_ATTR.NOSYMFOLLOW,
}
_CLEAR: dict[str, int] = {
    "rw": MOUNT_ATTR.RDONLY,
    "suid": MOUNT_ATTR.NOSUID,
    "dev": MOUNT_ATTR.NODEV,
    "exec": MOUNT_ATTR.NOEXEC,
    "diratime": MOUNT_ATTR.NODIRATIME,
    "symfollow": MOUNT_ATTR.NOSYMFOLLOW,
}
_TIMES: dict[str, int] = {
    "noatime": MOUNT_ATTR.NOATIME,
    "strictatime": MOUNT_ATTR.STRICTATIME,
    "relatime": _RELATIME,
    "atime": _RELATIME,
    "norelatime": MOUNT_ATTR.STRICTATIME,
    "nostrictatime": _RELATIME,
}
PROPAGATIONS: dict[str, int] = {
    "private": MS.PRIVATE,
    "rprivate": MS.PRIVATE | MS.REC,
    "slave": MS.SLAVE,
    "rslave": MS.SLAVE | MS.REC,
    "shared": MS.SHARED,
    "rshared": MS.SHARED | MS.REC,
    "unbindable": MS.UNBINDABLE,
    "runbindable": MS.UNBINDABLE | MS.REC,
}
# Of the filesystem itself, in the spelling that fsconfig(2) knows.
_SUPER = {"sync": "sync", "dirsync": "dirsync", "lazytime": "lazytime", "mand": "mand"}
_IMPLIED = ("async", "defaults", "loud", "silent", "nolazytime", "nomand", "noiversion", "remount")
_MAPPED = ("idmap", "ridmap")

NAMES = [
    *sorted({*_SET, *_CLEAR, *_TIMES, *PROPAGATIONS, *_SUPER, *_IMPLIED, "bind", "rbind"}),
    *sorted("r" + name for name in {*_SET, *_CLEAR, *_TIMES}),
    "tmpcopyup",
    *_MAPPED,
    # Which are for the filesystem itself to know.
    *("acl", "iversion", "noacl"),
]
"""What `features` lists."""


class Options:
    """A mount's options, taken apart.

    set, clear      MOUNT_ATTR of the mount itself
    set_all, clear_all      of it and of every mount below
    propagation     MS flags, 0 where nothing is said
    bind, recursive     that it is a bind mount, with what is mounted below
    copy_up         fill a tmpfs with what it covers
    mapped          show other ids than there are; mapped_all: so does what is mounted below
    data            (key, value) for the filesystem, b"" for a bare word
    """

    __slots__ = (
        "bind",
        "clear",
        "clear_all",
        "copy_up",
        "data",
        "mapped",
        "mapped_all",
        "propagation",
        "recursive",
        "set",
        "set_all",
    )

    def __init__(self, words: tuple[str, ...]) -> None:
        self.set = self.clear = self.set_all = self.clear_all = self.propagation = 0
        self.bind = self.recursive = self.copy_up = self.mapped = self.mapped_all = False
        self.data: list[tuple[bytes, bytes]] = []
        for word in words:
            self._add(word)

    def _add(self, word: str) -> None:
        if word in ("bind", "rbind"):
            self.bind = True
            self.recursive = self.recursive or word == "rbind"
        elif word in PROPAGATIONS:
            self.propagation = PROPAGATIONS[word]
        elif word == "tmpcopyup":
            self.copy_up = True
        elif word in _MAPPED:
            self.mapped = True
            self.mapped_all = word == "ridmap"
        elif word in _IMPLIED:
            return
        elif word in _SUPER:
            self.data.append((_SUPER[word].encode(), b""))
        elif (change := _attribute(word)) is not None:
            self.set, self.clear = _combine(self.set, self.clear, *change)
        elif word[:1] == "r" and (change := _attribute(word[1:])) is not None:
            self.set_all, self.clear_all = _combine(self.set_all, self.clear_all, *change)
        else:
            key, _, value = word.partition("=")
            self.data.append((os.fsencode(key), os.fsencode(value)))


def _attribute(word: str) -> tuple[int, int] | None:
    """The attributes that a word sets and clears; None when it is none of these."""
    if word in _SET:
        return int(_SET[word]), 0
    if word in _CLEAR:
        return 0, int(_CLEAR[word])
    if word in _TIMES:
        return int(_TIMES[word]), _ATIME
    return None


def _combine(set_: int, clear: int, more: int, less: int) -> tuple[int, int]:
    """The later word wins."""
    return set_ & ~less | more, clear & ~more | less
