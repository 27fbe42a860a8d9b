"""What a process reads from and writes to: pipes, or a terminal."""

from __future__ import annotations

import errno
import os
import stat

from engine.linux import terminal
from engine.linux.flags import AT, OPEN_TREE
from engine.linux.mount import open_tree
from engine.linux.path import openat2
from engine.linux.unix import send_fds
from engine.runtime.ops import rootfd
from engine.runtime.ops.base import Context, Op

_PTMX = os.makedev(5, 2)
_CONSOLE = b"/dev/console"


class Stdio(Op):
    """Pipes, which `uid` may reopen. Without `stdin` the input is the container's own /dev/null,
    not the machine's, whose mode a container's root could otherwise change."""

    NAME = "stdio"
    PHASE = "confine"
    STREAMS = True
    uid: int
    stdin: bool

    def apply(self, context: Context) -> None:
        piped = [(context.stdout, 1), (context.stderr, 2)]
        if self.stdin:
            piped.append((context.stdin, 0))
        else:
            _read_nothing()
        for fd, number in piped:
            os.dup2(fd, number)
            if self.uid:
                os.fchown(number, self.uid, -1)

    def describe(self) -> str:
        return f"read from {'a pipe' if self.stdin else '/dev/null'}, write to the log"

    def shell(self) -> str:
        source = "STDIN" if self.stdin else "/dev/null"
        return f"exec < {source} > >(log stdout) 2> >(log stderr)"


def _read_nothing() -> None:
    root = os.open(b"/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.dup2(rootfd.null(root, rootfd.READ), 0)
    os.close(root)


class Terminal(Op):
    """A pseudoterminal of the container's own devpts, which becomes the session's; the master goes
    to whoever asked, over the socket `context.console` (as the OCI's console socket). No path of
    the container names the other end (CVE-2025-52565). `console`: it is /dev/console too."""

    NAME = "terminal"
    PHASE = "confine"
    STREAMS = True
    uid: int
    console: bool

    def apply(self, context: Context) -> None:
        root = os.open(b"/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        master, slave = new_terminal(root)
        os.fchown(slave, self.uid, -1)
        self._prepare(root, master, slave)
        terminal.take(slave)
        for number in range(3):
            os.dup2(slave, number)
        send_fds(context.console, b"\0", (master,))
        for fd in (root, master, slave):
            os.close(fd)

    def _prepare(self, root: int, master: int, slave: int) -> None:
        """Before it is anybody's."""
        if self.console:
            bind_console(root, slave)

    def describe(self) -> str:
        return "take a new terminal of the container's own /dev/pts, the log at its other end"

    def shell(self) -> str:
        return "exec setsid --ctty script -qf LOG"


def bind_console(root: int, slave: int) -> None:
    """Show a terminal at /dev/console, by descriptors alone: what an image has there leads nowhere
    (CVE-2025-52565)."""
    target = rootfd.file(root, _CONSOLE, symlinks=False)
    if stat.S_ISDIR(os.fstat(target).st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), _CONSOLE)
    rootfd.attach(open_tree(slave, b"", OPEN_TREE.CLONE | AT.EMPTY_PATH), target)


def new_terminal(root: int) -> tuple[int, int]:
    """Both ends, (master, slave), of a new one of the devpts below `root`. Raise OSError."""
    name = b"/dev/pts/ptmx"
    flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK
    master = openat2(root, name, flags, resolve=rootfd.NO_LINKS)
    found = os.fstat(master)
    if not stat.S_ISCHR(found.st_mode) or found.st_rdev != _PTMX:
        raise OSError(errno.ENODEV, "is not the terminal multiplexer (5:2)", name)
    terminal.unlock(master)
    return master, terminal.peer(master)
