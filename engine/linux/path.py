"""Opening a path that someone else chose: openat2(2)."""

import errno
import os
import struct

from engine.linux.call import string, syscall
from engine.linux.flags import RESOLVE

# A rename anywhere on the machine may make the kernel give up on proving that ".." stays inside;
# the manual asks the caller to try again. One who renames without end must not hold us.
_ATTEMPTS = 128


def openat2(
    dirfd: int,
    path: bytes,
    flags: int,
    mode: int = 0,
    resolve: RESOLVE | int = RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS,
) -> int:
    """openat2(2), Linux 5.6: a close-on-exec descriptor of `path`, as seen from `dirfd`.

    By default every symlink and every ".." is resolved as if chrooted in `dirfd`, and the magic
    links of proc(5) are refused.
    """
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, mode, resolve)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return syscall("openat2", dirfd, string(path), how, len(how), about=path)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EINTR) or attempt == _ATTEMPTS:
                raise
    raise AssertionError("unreachable")
