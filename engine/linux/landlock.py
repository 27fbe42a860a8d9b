"""Landlock: a process that gives up files it does not need. landlock(7)."""

import errno
import struct

from engine.linux.call import syscall
from engine.linux.flags import LANDLOCK_ACCESS_FS

_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
_PATH_BENEATH = 1
# By version of the interface: how many rights over files there are, over TCP, over processes.
_FILES = {1: 13, 2: 14, 3: 15, 5: 16}
_TCP, _SCOPES = {4: 0b11}, {6: 0b11}


def abi() -> int:
    """The version of the interface; 0 where the kernel has none, or it is switched off."""
    try:
        return syscall("landlock_create_ruleset", None, 0, _VERSION, about="landlock")
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
            return 0
        raise


def create_ruleset(version: int) -> int:
    """landlock_create_ruleset(2): a descriptor of a ruleset that takes away every right there is at
    this version: over files, TCP, abstract sockets of others, and signals to others."""
    files = (1 << _newest(_FILES, version)) - 1
    attr = struct.pack("=QQQ", files, _newest(_TCP, version), _newest(_SCOPES, version))
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    return syscall("landlock_create_ruleset", attr[:size], size, 0, about="landlock ruleset")


def add_path(ruleset: int, directory: int, rights: LANDLOCK_ACCESS_FS | int, version: int) -> None:
    """landlock_add_rule(2): leave these rights, as far as the version knows them, below an open
    directory."""
    known = (1 << _newest(_FILES, version)) - 1
    attr = struct.pack("=Qi", rights & known, directory)
    about = f"landlock rule of descriptor {directory}"
    syscall("landlock_add_rule", ruleset, _PATH_BENEATH, attr, 0, about=about)


def restrict_self(ruleset: int) -> None:
    """landlock_restrict_self(2): for this thread, what it starts, and for ever. It needs
    PR_SET_NO_NEW_PRIVS or CAP_SYS_ADMIN."""
    syscall("landlock_restrict_self", ruleset, 0, about="landlock")


def _newest(table: dict[int, int], version: int) -> int:
    return next((table[v] for v in sorted(table, reverse=True) if v <= version), 0)
